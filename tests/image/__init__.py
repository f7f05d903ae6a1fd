"""The image as users run it: one shot, as a service, under Compose."""
