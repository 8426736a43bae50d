/// What the person chose on the settings screen.
struct Preferences: Equatable, Sendable {
    var path = PixelPath.exact
    var units = ComputeUnits.all
    /// How many labels are shown.
    var count = 5
    /// Labels below this probability, 0..1, are not shown.
    var threshold: Double = 0
}
