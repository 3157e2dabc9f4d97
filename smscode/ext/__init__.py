"""What joins this package to others; each module needs the extra that its docstring names."""
