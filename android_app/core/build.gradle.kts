import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_17)
        allWarningsAsErrors.set(true)
    }
}

dependencies {
    testImplementation(libs.junit)
}

tasks.test {
    useJUnit()
    // A project of its own brings the golden pixels along; in mobilecv's repository they lie beside it.
    val own = rootDir.resolve("golden-pixels")
    val golden = if (own.isDirectory) own else rootDir.resolve("../tests/golden/pixels")
    val assets = rootDir.resolve("app/src/main/assets")
    inputs.dir(golden)
    inputs.dir(assets)
    systemProperty("mobilecv.golden", golden.path)
    systemProperty("mobilecv.assets", assets.path)
}
