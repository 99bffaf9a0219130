def test_migrations_are_complete(db):
    from django.core.management import call_command
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
