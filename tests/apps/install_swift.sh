#!/usr/bin/env bash
# Puts Swift 6.0 into build/apps-tools/swift-root, so that tests/apps/test_ios_swift.py can run it.
#
# Debian 13 is the first one with a Swift compiler (package swiftlang). On an older Debian its
# packages are unpacked into a folder of their own, by apt with lists of its own, and run there by
# swift_root.sh; the system is not changed. Needs 0.6 GB of download, 3 GB of disk, one minute,
# and root to run it. With Debian 13 or newer: apt-get install swiftlang.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/build/apps-tools
root=$tools/swift-root
apt=$tools/swift-apt
if [ -e "$root/.complete" ]; then exit 0; fi

rm -rf "$root" "$apt"
mkdir -p "$root" "$apt"/{lists/partial,archives/partial,empty}
touch "$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
  "http://deb.debian.org/debian trixie main" >"$apt/sources.list"
cat >"$apt/apt.conf" <<CONF
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/empty";
Dir::Etc::preferencesparts "$apt/empty";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$apt/apt.conf
apt-get update -qq
apt-get install -qq -y --download-only \
  swiftlang libswiftlang libc6-dev libstdc++-14-dev gcc bash coreutils git >/dev/null
for package in "$apt"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done
rm -rf "$apt"
touch "$root/.complete"
