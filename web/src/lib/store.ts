// What the page keeps on this machine. Where that is not allowed, it is forgotten.

export function load<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem('baraza.' + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function save(name: string, value: unknown): void {
  try {
    if (value === undefined || value === null || value === '') localStorage.removeItem('baraza.' + name);
    else localStorage.setItem('baraza.' + name, JSON.stringify(value));
  } catch {
    // No room or not allowed: it works until the page is closed.
  }
}
