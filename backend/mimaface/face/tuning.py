"""Numbers that decide how a face is found, fitted, corrected and tracked, by the module that reads them.

Each has its quantity and unit and what a higher value does. Unless something else is said they were chosen by eye on the portraits that
the tests and the demo use. Each was changed by 20 %, down and up, as those of :mod:`mimaface.reprojection.tuning` were, without tracking anew.
[0]: moved no pixel by more than a level there: what decides which faces are found, and limits of what is far off.
"""

from __future__ import annotations

import numpy as np

# --- landmarks
MIN_SCORE = 0.5  # of the detector, from which something is a face. Higher: small and turned faces are missed [0]
MIN_PRESENCE = 0.5  # of the landmark network, from which what was found is one. Higher: occluded faces are lost [0]
MAX_OVERLAP = 0.3  # intersection over union above which two detections are one face. Higher: one face counts twice [0]
SURE_PRESENCE = 0.8  # of a face that was not followed from the frame before: noise reaches 0.7. Higher: lost faces are found later [0]
CROP_MARGIN = 1.5  # sides of a face's box that the landmark network sees, as in MediaPipe's own graph
# score and pixels of a face beside others: small windows show more that resembles one; such resemblances scored up to 0.62, or were 18
# pixels wide. Higher: small faces beside large ones are missed
FURTHER_SCORE, FURTHER_SIDE = 0.65, 24.0
SAME_FACE = 0.5  # of the smaller of two boxes that lies in the other: the same face, seen in two windows. Higher: it counts twice [0]

# --- fit
NOISE = 0.0012  # metres: standard deviation of a landmark on the face. Higher: more of the mean face
NOISE_SHARE = 0.6  # of the spread of a landmark over synthetic heads that is added to it, as variances. Higher: sliding landmarks count less
CORRELATION = 8.0  # landmarks that err together, so that each counts less. Higher: more of the mean face
OPENING_NOISE = 0.0006  # metres: the distance between two lips or two lids is seen better than either. Higher: half-closed eyes open
# standard deviations of a blendshape, and of the difference between both sides. Higher: stronger, and more lopsided, expressions
BLENDSHAPE_SPREAD, ASYMMETRY = 0.3, 0.5
IDENTITY_MOST = 3.5  # standard deviations of an identity component. Higher: caricatures are possible, and wrong fits [0]
GAZE_SHARED = 0.5  # share of both eyes' mean in each eye's gaze. Higher: squints are lost

# --- points
# metres by which a point that a hand placed may be off from a head's; the correction puts it right. Higher: more of the mean face, and of
# the network
PLACED_NOISE = 0.0012
# metres that a fit with placed points misses of one, from which that counts half. Higher: a doll's eyes bend the whole head, whose mouth then
# folds in the correction; lower: less of a caricature is followed by the fit
DOUBTED = 0.0025
LIP_LEAST = 0.06  # of the mouth's width that a lip is thick at least. Lower: the mesh of a mouth that is drawn as a line folds, and tears [0]
PLACED_WEIGHT = 6.0  # of such a point in the correction, beside LANDMARK_WEIGHT. Higher: nearer to it; the lips of a drawing fold
PLACED_LARGEST = 0.04  # metres that a vertex is moved for one at most: faces of dolls. Higher: a point at a wrong place tears the face [0]
# metres that the mouth's lining lies further back than the head has it: where lips lie far from the head's own, and where points were placed, it
# would come out before the skin, as a second mouth. Higher: the mouth is deeper, and a lower one is seen at its corners
LINING_BACK = 0.004
TEMPLATE_SHARE = 0.5  # of the picture's smaller side that a generic face takes in its middle. Higher: less is left to drag it in
OTHER_FACE = 0.5  # of a face's size that placed points lie from its own, at the median, from which they are another's. Higher: fewer are [0]

# --- correction
# of the field's energy: against bending, against stretching, toward zero, beside LANDMARK_WEIGHT. Higher: smoother; nearer to the fit
STIFFNESS, TENSION, ANCHOR = 2.0, 0.02, 1e-4
LANDMARK_WEIGHT, RIM_WEIGHT = 1.0, 1.5  # of landmarks and of visible rims. Higher: nearer to them, and to their errors
# of what a landmark misses: offsets know no depth, and the whole of them would take 3 degrees off a turn of 20
LANDMARK_SHARE = 0.8
CORRECTION_ROUNDS = 4  # in which rims are found and followed. Higher: slower, nearer to curled lips
RIM_SIDE = 192  # pixels of the small pictures in which rims are looked for. Higher: slower, finer
LEAST_PARTED = 0.001  # metres: lips that the fit has less apart are closed, and what is missed of them is no opening
TOUCH = -0.0008  # metres that closed lips are nearer than the model's, which leaves slits: raised toward 0, teeth are seen in them
BETWEEN_WEIGHT = 8.0  # of two closed lips. Higher: the field opens them less [0]
MOUTH_REACH = 0.035, 0.055  # metres from the middle of the mouth: what parts the lips is whole up to the first, gone from the second [0]
# metres, head frame, from where the head's teeth are to where a mouth's are. The edge of upper incisors lies 2 to 4 mm below the line of
# closed lips (anatomy) and 2 mm before the lower ones'; the head's end at that line. Higher: less of them is seen
UPPER_TEETH_MOVED, LOWER_TEETH_MOVED = (0.0, -0.0025, 0.003), (0.0, 0.0, 0.0005)
LARGEST = 0.012  # metres: an offset beyond this is a wrong landmark, not a face. Higher: it pulls [0]
LIDS_REACH = 0.045  # metres around an eye's centre, in every axis, that its lids' offset reaches. Higher: brows move in a blink
LEAST_OPEN = 0.2  # of a blink's way that a photographed lid counts as open. Higher: eyes that were closed open less [0]

# --- track
IDENTITY_FRAMES = 10  # of a video whose mean is the face's identity. Higher: steadier, and later known
BLENDSHAPE_DRIFT = 1.2  # per second: how fast a blendshape is expected to change. Higher: less smoothing
BLINK_DRIFT = 6.0  # the same of blinks, which take a tenth of a second. Higher: less smoothing, more flicker of lids
CLOSED_EYE = 0.12  # lid opening as a share of the eye's width below which the iris is not trusted. Higher: gaze rests in more frames
# of what lids' landmarks lie off the head's, along its axes, an eyeball is moved to. Higher: errors of the head's pose turn the eyes less, and
# so do heads that turn while the eyes rest. Chosen by the irises' places on six real videos
GAZE_CENTRED = (0.5, 0.75, 1.0)
# of yaw and pitch, as the landmarker's irises move less than the eyes do: 0.8 and 0.2 on renders. Higher: wider looks, and more noise in them.
# The pitch's is less than renders ask: beyond it, irises of real people roll under their lids
GAZE_GAIN = np.array([1.2, 2.4])
GAZE_CUTOFF, GAZE_SPEED = 3.0, 4.0  # One-Euro (Casiez et al. 2012): Hz, Hz per rad/s. Higher: less smoothing at rest; in motion

# --- alignment. Chosen by the error in the faces of four real videos, driven by themselves, and by turns of renders
ALIGNED_SIDE = 160  # pixels of the small picture of a head, about 1.7 mm each. Higher: slower, more memory, nearer to the truth in sharp videos
ALIGNED_QUALITY = 90  # of the JPEG that is kept of it, 0–100. Higher: more memory, less noise
ALIGNED_BLUR = 6.0, 2.0  # millimetres of the blur, coarse to fine. Higher: larger errors of the landmarks are put right, less exactly
ALIGNED_ROUNDS = 5  # at most, at each blur. Higher: slower
ALIGNED_LEAST = 0.01  # of the prior's standard deviations: a step below it is the last. Higher: faster, less exact
ALIGNED_EVERY = 2  # of so many vertices one is compared. Higher: faster, noisier
ALIGNED_FACING = 0.2  # cosine between line of sight and normal from which skin counts as seen. Higher: fewer points at the outline
ALIGNED_POINTS = 100  # seen at least, else the landmarks' pose stays. Higher: more of it stays
ALIGNED_STILL = 0.0005  # metres that an expression moves skin by, from which it counts half. Higher: faces that grimace are misled
ALIGNED_NOISE = 2.0  # levels of 0–255 of brightness at least. Higher: nearer to the landmarks' pose in sharp pictures
# points that count, as neighbours share their errors. Higher: further from the landmarks' pose, which was 0.2 dB nearer to the truth at 15 than
# at 5, but halved a turn's error less on renders of a head whose depth is not known well
ALIGNED_INDEPENDENT = 10.0
# standard deviations of the landmarks' pose: pitch, yaw, roll in radians; x, y, z in metres. Higher: further from it
ALIGNED_TURN, ALIGNED_MOVE = (0.05, 0.05, 0.03), (0.004, 0.004, 0.015)
# hair beside the head, by the face's PSNR on six videos: metres between its points, and of these from the bald head, the least and the most; metres
# above the eyes' middle of the lowest; the network's answer, 0 to 1, from which a point is the person. Higher: faster, noisier; fewer that
# the head hides; more of long hair, which turns less; fewer chins and collars; fewer strands
HAIR_EVERY, HAIR_BESIDE, HAIR_DOWN, HAIR_PERSON = 0.004, (0.008, 0.040), -0.090, 0.1
# standard deviation of a blendshape from what the landmarks have. Higher: expressions nearer to the skin, and to its shadows
EXPRESSED = 0.2
EXPRESSED_ROUNDS = 4  # Higher: slower
EXPRESSED_INDEPENDENT = 60.0  # points that count, as above; expressions are told by less of the face than poses. Higher: further from the landmarks
# metres: standard deviations of where landmarks have lips and brows. Higher: they are where the skin has them, too near to the reference's
# where a mouth opens
LIPS_HELD, BROWS_HELD = 0.0010, 0.0014
# of the way from where the landmarks' estimate has them under the aligned pose to that place. Higher: lips are further apart; at 1 shut
# mouths of six films were 0.17 dB worse than at 0.7
HELD = 0.7
HELD_TURNED = 0.005  # metres that those deviations grow by for a radian's turn, as landmarks slide. Higher: skin places lips of turned heads
