/** Where the app is: the parts of the address behind `#/`. */
const parts = (hash: string) => hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decodeURIComponent);

let path = $state.raw<string[]>(parts(location.hash));
addEventListener('hashchange', () => (path = parts(location.hash)));

export const route = () => path;

export function href(...to: string[]): string {
  return '#/' + to.map(encodeURIComponent).join('/');
}

export function go(...to: string[]): void {
  location.hash = href(...to);
}

/** As `go`, but the page before is not gone back to. */
export function replace(...to: string[]): void {
  history.replaceState(null, '', href(...to));
  path = to;
}
