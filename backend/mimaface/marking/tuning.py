"""Constants of the watermark, chosen on 512-pixel shots of seven portraits; docs/MARKING.md has the table."""

TILE = 64  # pixels, side of the repeated pattern. Raised: fewer repetitions in a small crop; lowered: fewer bits fit
SEED = 20260  # seed of the patterns. Readers find only watermarks of the same seed

# Pixels, longest and shortest wavelength of the patterns. Longer waves are visible earlier on plain skin; shorter ones are lost
# when a film is halved or compressed.
LONGEST, SHORTEST = 20.0, 6.0

# Levels of 255, root mean square: in plain regions; per level of contrast; largest in textured regions. Raised: more reliable
# reading, more visible.
PLAIN, PER_CONTRAST, BUSY = 1.1, 0.18, 3.2
CELL = 8  # pixels, side of the squares whose contrast is measured. Raised: the watermark spreads from textured into plain regions

# levels, root mean square over a whole picture: 42.5 dB PSNR including rounding. Raised: PSNR falls below 42 dB
STRONGEST = 1.88

# Share of that strength inside the face; the distances, in radii of the face's ellipse, between which it rises to 1; smallest
# mean share, for a face that fills the picture. At full strength the SSIM of faces in real films fell by 0.021, with these values
# by 0.001.
IN_FACE, FACE_EDGE, LEAST_SHARE = 0.1, (1.25, 1.6), 0.5

# reading: pixels of the blur that is subtracted, and levels at which the rest is clipped as an image edge
BLUR, EDGE = 4.0, 8.0
# pixels per side of the central region that is read. Raised: reads weaker watermarks of large pictures, and is slower
MOST_READ = 1024
# scales of a picture relative to the marked one, in search order
SIZES = (1.0, 0.5, 0.75, 2 / 3, 0.8, 0.9, 0.6, 0.4, 1.25, 1.5, 2.0)

# Standard deviations of the correlation peak over all offsets. Unmarked pictures reach 6, marked ones after H.264 at crf 28 reach
# 11 and more. Lowered: weaker watermarks are read; of unmarked pictures above it, one in 65 536 passes the check.
SURE = 8.0
