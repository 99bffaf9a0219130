// Lets a dialog that asks for a badge, or a field that asks for a serial, take scans instead of the server.

const claims = [];

// The latest claim is asked first; `take(raw)` returns whether it took the scan. Returns how to end it.
export function claim(take) {
  claims.push(take);
  return () => {
    const place = claims.indexOf(take);
    if (place >= 0) claims.splice(place, 1);
  };
}

export function isClaimed(raw) {
  return claims.toReversed().some((take) => take(raw));
}
