"""What every command does around its work: arguments, errors in one line, device and memory."""
