import { keepRenewing } from "./renew.js";

keepRenewing();
