#!/bin/sh
# The web app in web/: built only if something of it changed since.
#
#   scripts/web.sh build    what the node embeds: web/dist/app
#   scripts/web.sh test     its unit tests
#   scripts/web.sh check    its types, made from docs/openapi.json
set -eu
cd "$(dirname "$0")/../web"

install() {
    # npm writes this file when it is done.
    [ node_modules/.package-lock.json -nt package-lock.json ] ||
        { npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json; }
}

case ${1:-build} in
    build)
        now=$(find src public index.html *.js package-lock.json -type f | LC_ALL=C sort |
            xargs sha256sum | sha256sum | cut -d' ' -f1)
        if [ ! -f dist/app/sw.js ] || [ "$(cat .stamp 2>/dev/null)" != "$now" ]; then
            echo "web: building the app"
            install
            npm run --silent build -- --logLevel warn
            echo "$now" >.stamp
        fi ;;
    test)
        install
        log=$(mktemp)
        code=0
        npm test --silent -- --no-color >"$log" 2>&1 || code=$?
        cat "$log"
        # As the other tests count.
        sed -n 's/^ *Tests  *\(\([0-9]*\) failed | \)\{0,1\}\([0-9]*\) passed.*/\3 passed, 0\2 failed/p' "$log"
        rm -f "$log"
        exit "$code" ;;
    check)
        install
        npm run --silent api >/dev/null
        npm run --silent check ;;
    *) echo "web.sh: build, test or check" >&2; exit 2 ;;
esac
