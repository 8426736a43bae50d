import SwiftUI

@main
struct ClassifierApp: App {
    @StateObject private var session = ClassifierSession()

    var body: some Scene {
        WindowGroup {
            RootScreen(session: session)
        }
    }
}
