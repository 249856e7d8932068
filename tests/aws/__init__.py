"""What stands in for AWS in the tests, and the tests of what runs on it."""
