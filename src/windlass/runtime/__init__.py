"""What runs in a Lambda function: one entry point, and the way from AWS's events to deliveries."""
