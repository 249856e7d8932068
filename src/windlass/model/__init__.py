"""What a system is: `System`, and one file for each noun. Declaring does no I/O; operations call ports."""
