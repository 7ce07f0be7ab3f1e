"""A picture that says what it is: a watermark in its pixels, XMP and signed content credentials in its file, and the reader of all three."""
