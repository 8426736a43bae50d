#!/usr/bin/env bash
# Runs a command inside the folder that install_swift.sh made, in this repository's folder.
#
#     tests/apps/swift_root.sh swiftc --version
#
# The repository and /tmp are seen under their own names. Needs root: mounts and chroot, in a mount
# namespace of their own, so that nothing stays mounted.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
root=$repository/build/apps-tools/swift-root
export repository root
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount bash -c '
  set -e
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
  mount --bind /tmp "$root/tmp"
  mkdir -p "$root$repository"
  mount --bind "$repository" "$root$repository"
  exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/libexec/swift/bin:/usr/bin \
    LD_LIBRARY_PATH=/usr/libexec/swift/lib:/usr/libexec/swift/lib/swift/linux \
    MOBILECV_BUNDLE="${MOBILECV_BUNDLE:-}" \
    bash -c "cd \"\$0\" && exec \"\$@\"" "$repository" "$@"' bash "$@"
