#!/usr/bin/env bash
# What the checks of android_app need: Java, JUnit 4 and aapt2 from Debian, Kotlin from npm.
# May be called again; installs what is missing only, and says nothing unless it fails.
set -euo pipefail
tools="$(cd "$(dirname "$0")/../.." && pwd)/build/apps-tools"
kotlin=2.4.20

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
[ -e /usr/share/java/junit4.jar ] || missing+=(junit4)
command -v aapt2 >/dev/null || missing+=(aapt)
[ -e /usr/share/android-framework-res/framework-res.apk ] || missing+=(android-framework-res)
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! grep -qs "\"version\": *\"$kotlin\"" "$tools/node_modules/kotlin-compiler/package.json"; then
  mkdir -p "$tools"
  npm install --prefix "$tools" --silent --no-audit --no-fund "kotlin-compiler@$kotlin" >/dev/null
fi
