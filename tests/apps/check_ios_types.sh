#!/usr/bin/env bash
# Type-checks the iOS app and its tests against the signatures in ios_stubs.
#
#     tests/apps/check_ios_types.sh BUILD_FOLDER [IOS_APP_FOLDER]
#
# Needs swiftc (5.10 or newer) on Linux; on a Mac, build the project in Xcode instead.
set -euo pipefail
shopt -s globstar
here=$(cd "$(dirname "$0")" && pwd)
build=$1
app=${2:-$here/../../ios_app}
mkdir -p "$build"

# Frameworks in the order in which they need one another.
modules="CoreGraphics ImageIO CoreVideo CoreMedia CoreML Vision Combine UniformTypeIdentifiers UIKit
  AVFoundation SwiftUI PhotosUI"
compile=(swiftc -swift-version 5 -parse-as-library -I "$build")
for module in $modules; do
  "${compile[@]}" -emit-module -module-name "$module" -o "$build/$module.swiftmodule" \
    "$here/ios_stubs/$module.swift"
done

"${compile[@]}" -emit-module -module-name ClassifierCore -o "$build/ClassifierCore.swiftmodule" \
  "$app"/ClassifierCore/Sources/ClassifierCore/*.swift

# Concurrency is checked as Swift 6 does.
"${compile[@]}" -strict-concurrency=complete -warnings-as-errors -enable-testing \
  -emit-module -module-name Classifier -o "$build/Classifier.swiftmodule" "$app"/App/**/*.swift
"${compile[@]}" -typecheck -module-name ClassifierTests "$app"/ClassifierTests/*.swift
echo "ios_app type-checks against ios_stubs"
