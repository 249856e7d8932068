"""The AWS engine: a file for each noun, over boto3."""
