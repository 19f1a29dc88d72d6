#!/usr/bin/env bash
# Fetches what the pages load besides the theme, so that nothing comes from another host, and what their tests load:
# `make vendor`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/book/_static/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

take() {  # PACKAGE@VERSION FOLDER FILE...
  local archive
  archive=$(cd "$work" && npm pack --silent "$1")
  rm -rf "${out:?}/$2" && mkdir -p "$out/$2"
  for file in LICENSE "${@:3}"; do
    tar -xzf "$work/$archive" -C "$work" "package/$file"
    install -m 644 "$work/package/$file" "$out/$2/"
  done
}

take mathjax@3.2.2 mathjax es5/tex-svg.js
take @fontsource-variable/source-sans-3@5.3.0 source-sans-3 \
  files/source-sans-3-latin-wght-normal.woff2 files/source-sans-3-latin-wght-italic.woff2
take @fontsource-variable/source-serif-4@5.3.1 source-serif-4 files/source-serif-4-latin-wght-normal.woff2

out=$root/tests/book/vendor
take axe-core@4.14.1 axe-core axe.min.js
