"""What is to be read: files, their versions and their labels."""
