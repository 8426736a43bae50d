"""Int8 that repairs itself: steps up a ladder until a file agrees with its float twin again."""
