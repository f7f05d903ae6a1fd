"""What the tests share: generators on a real engine, and the program run as its users run it."""
