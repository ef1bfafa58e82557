#!/bin/sh
# Writes .env from env.example, a random secret wherever one is empty. It overwrites nothing.
#   sh secrets.sh
set -eu
cd "$(dirname "$0")"
[ ! -e .env ] || { echo "deploy/.env is there already: edit it, or move it away" >&2; exit 1; }
umask 077
# Hexadecimal digits need no escaping, wherever a secret ends up.
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
while IFS= read -r line; do
  case $line in
    *PASSWORD=) printf '%s%s\n' "$line" "$(random)" ;;
    *) printf '%s\n' "$line" ;;
  esac
done <env.example >.env.new
mv .env.new .env
echo "Wrote deploy/.env, which only you can read. Next: look through it, it says where bytes go"
