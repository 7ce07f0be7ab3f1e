"""Model folders: installed, checked, converted."""
