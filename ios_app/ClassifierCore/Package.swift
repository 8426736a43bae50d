// swift-tools-version: 5.9
// What an app must compute itself, without Core ML and without a screen: it also builds on Linux.

import PackageDescription

let package = Package(
    name: "ClassifierCore",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [
        .library(name: "ClassifierCore", targets: ["ClassifierCore"])
    ],
    targets: [
        .target(name: "ClassifierCore"),
        .testTarget(name: "ClassifierCoreTests", dependencies: ["ClassifierCore"]),
    ]
)
