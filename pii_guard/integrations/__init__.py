"""Where other libraries meet pii-guard: one file each, which alone imports that library."""
