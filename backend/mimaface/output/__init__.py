"""Where frames go: folders of PNGs, films with sound."""
