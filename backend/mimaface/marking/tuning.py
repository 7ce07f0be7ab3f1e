"""Numbers of the watermark. All were chosen on 512-pixel shots of seven portraits; docs/MARKING.md has the table."""

TILE = 64  # pixels, the side of the pattern that is repeated over a picture. Larger: less of it in a small crop; smaller: fewer bits fit
SEED = 20260  # of the patterns. Another one is another watermark, which no reader of this one finds

# Pixels, the longest and the shortest wave of the patterns. Longer waves are seen sooner on plain skin; shorter ones are lost when a film is
# halved or compressed.
LONGEST, SHORTEST = 20.0, 6.0

# Levels of 255, root mean square: in a plain part of a picture; how many more for one level of contrast; the most in a busy part. Higher is read
# more safely and seen sooner.
PLAIN, PER_CONTRAST, BUSY = 1.1, 0.18, 3.2
CELL = 8  # pixels, the side of the squares whose contrast is measured. Larger: the watermark runs over from busy parts into plain ones

# Levels, root mean square over a whole picture: 42.5 dB of peak signal-to-noise ratio, rounding included. Higher falls below 42 dB.
STRONGEST = 1.88

# Of that strength, what is left in the face, and where it has grown to all of it, in radii of the face's ellipse; at the least on average,
# for a face that fills its picture. At full strength everywhere the SSIM of faces in real films fell by 0.021, so by 0.001.
IN_FACE, FACE_EDGE, LEAST_SHARE = 0.1, (1.25, 1.6), 0.5

# Of reading: pixels of the blur that takes away what is no watermark, and levels beyond which the rest is an edge of the picture, not watermark.
BLUR, EDGE = 4.0, 8.0
MOST_READ = 1024  # pixels a side of a picture's middle, where it is read. More reads weaker watermarks of large pictures, and takes longer
SIZES = (1.0, 0.5, 0.75, 2 / 3, 0.8, 0.9, 0.6, 0.4, 1.25, 1.5, 2.0)  # of a picture by what it was when it was marked, in the order of trying

# Standard deviations by which the best place of the pattern stands out among all places. Unmarked pictures reach 6, marked ones after H.264 at
# crf 28 are at 11 and more. Lower: weaker watermarks are read, and one unmarked picture in 65 536 that get so far is called marked.
SURE = 8.0
