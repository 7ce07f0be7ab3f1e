"""Numbers that decide a pixel of the reprojected photograph, by the module that reads them.

Each has its quantity and unit and what a higher value does. Unless something else is said they were chosen by eye, on the portraits that
the tests and the demo use. A pair is where an effect starts and where it is whole. "Pixels of the margin" are pixels of a head up to
MARGIN_HEAD wide, and as much larger on a wider one. Compiled kernels get theirs as an argument: they would keep old ones in their cache.

Each was changed by 20 %, down and up, in four frames each of four filmed people, in ten acted poses of two photographs, and in a cutout, a drawing,
a brown print, frames acted anew and a portrait with references, at 160 to 288 pixels. What moved no pixel by more than a level is not here,
but in the code. In brackets ("+": only up): the largest change of a film's PSNR against the filmed frame, and of a pixel in levels. No brackets: a
pixel moved by 2 levels or more. [0]: acts in other cases only, such as hats, heads at the border, eyes that were shut or large pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimaface.protocol.arrays import Array

# --- crops
# face heights from the face's middle that may move with the head. Lower: long hair stays behind; higher: more pixels a frame [+ 0]
CANVAS_REACH = 2.3
CANVAS_BELOW = 3.4  # the same downwards, where the shoulders are
# share of the shown part that is kept around it, so that what moves in from outside has pixels. Higher: more pixels a frame [+ 0 dB, 182]
CANVAS_AROUND = 0.35
FACE_MARGIN = 1.7  # face heights a side of the "face" framing's square. Higher: more around the face
FACE_RAISED = 0.08  # of that square's side by which it lies above the face's middle. Higher: more hair, less neck

# --- matte and cutout
# face sizes to either side of the face's middle that the network sees. Higher: more of the body, with a coarser outline [+ 0]
MATTE_AROUND = 1.7
BODY_AROUND = 4.0  # the same for the network's second look, at shoulders and arms [0]
BODY_MEETS = 0.15  # of the first square's side over which the second look takes over at its border. Higher: more of the coarser outline
SURE_PERSON = 0.025  # of that square's width inside the person's outline, from where on there are no holes. Higher: holes in hair stay [+ 0 dB, 108]
# the network's answer, 0 to 1, between which a pixel turns from background to person. Higher: a tighter outline [+ 0.137 dB, 170]
EDGE_LOW, EDGE_HIGH = 0.15, 0.85
OPAQUE, CLEAR = 0.97, 0.03  # shares of a pixel: all person above the first, all background below the second [+ 0.002 dB, 89]
TINGED_BAND = 0.008  # of the picture's longer side inside the outline that the background may tinge. Higher: more is recoloured [+ 0.037 dB, 158]
# levels of 0–255 by which a recoloured pixel may differ from the person beside it. Higher: more detail at the edge, more of the halo [+ 0.035 dB, 7]
TINGED_DIFFERENCE = 32.0
GUIDE_FLOOR = 1e-3  # variance of brightness, 0 to 1, below which a region has no edge to follow. Higher: a softer outline [+ 0.003 dB, 18]
# of the filled background's grain: head widths that are finer; times its usual strength between which it is something that stands there;
# times its size over which it is mirrored. Higher: stains are grain; edges are; it repeats later, and ends earlier before a border
FILLED_GRAIN, GRAIN_ROUGH, GRAIN_WIDTH = 0.012, (1.1, 1.8), 24
FAINT = 0.25  # least share of a pixel from which the person's own colour is solved. Higher: thin hair is coloured by its neighbours [+ 0.004 dB, 12]

# --- drawn: a drawing's background
DRAWN_ALIKE = 12.0  # levels of 0–255 in every channel by which JPEG and grain change a flat colour. Higher: soft outlines are cut
DRAWN_EDGE = 5  # pixels a side around one of the outline, in which its own colour is looked for. Higher: a softer outline

# --- tone: on six tinted prints and 16 colour pictures, see COLOURED
TONE_DEGREE = 2  # of the tint as a function of brightness: a print's shadows and lights may differ, a drawing's few colours are no curve
TONE_PERCENTILE = 99.0  # of the pixels' distance from the tint: lips and eyes are few of a person's. Higher: noise counts as colour

# --- regions and what they change
# metres, head frame, up from the middle of the eyes: lips and jaw move what lies below the first wholly, above the second nothing: from the
# nose's base to its tip. Higher: smiles reach the cheeks' top, and so do changed pixels
LIPS_UP = -0.047, -0.032
# by how much lower that border is for each metre behind the lips, as the jaw turns about its joint by the ear: so a bowed head, whose cheeks are
# above its nose in the picture, moves nothing there up to 25° of pitch. Higher: the jaw's corner stays when the mouth opens
LIPS_BACK = 0.25
EYES_UP = -0.010, 0.005  # the same: cheeks and nose move what lies below, brows what lies above. Higher: cheeks reach up to the lids
LIDS_AROUND = 0.028, 0.042  # metres around an eye's centre in which lids and gaze move. Higher: brows go along with a blink
# share of taking part in a region's expressions up to which a pixel of the head is left alone, and from which it is not. Higher: a wider seam
WITHIN_REGION = 0.0, 0.2
# pixels by which what a pixel shows has moved, from where the frame of a film gives way to the render, to where it is gone. Higher: what moves
# little shows twice; lower: more of the frame is drawn anew, and loses sharpness
CHANGED_BY = 0.05, 0.4

# --- hair
HAIR_THICKEST, HAIR_STEP = 0.09, 0.0015  # metres of hair that are looked for, and the steps. Higher: a larger hat; coarser [thickest: 0]
# cosine between surface and line of sight, either way, up to which a point lies on the outline. Higher: more points, less exact ones
SILHOUETTE_COSINE = 0.2
EAR_ROUNDS, EAR_SMOOTHING = 6, 2  # in which ears are moved to the person, and of smoothing after each. Higher: closer; smoother
HAIR_SMOOTHING = 8  # rounds over the mesh. Higher: a rounder shell of hair

# --- person_warp
WARP_STEP, WARP_KNOTS = 6, 96  # least pixels between knots, most knots along the longer side. Higher: coarser; finer and slower [knots: 0]
DEPTH_REACH = 0.06  # head widths beside the head over which depth sinks to the skull's middle. Higher: hair moves as the face does
DEPTH_SMOOTHING = 1.0  # knots over which depth is smoothed. Higher: fewer folds at the outline, a flatter head
DRAWN_SMOOTHING = 0.08  # head widths, the same in a drawing. Higher: rounder, flatter heads
# of the picture's longer side over which the warp is held where the rendered part ends inside of the photograph. Higher: a stiffer border
WARP_BORDER = 0.06
# head widths from the head between which what is there stops following it. Higher: shoulders turn along
REACH_LOW, REACH_HIGH = 0.30, 1.30
EXPRESSION_SMOOTHING = 2.0  # knots over which the expression's folds are smoothed. Higher: less expression beside the face [0.037 dB, 52]
# share of following the head: what follows by more than the first is cut out of the photograph, and leaves background from the second on.
# Higher: less of neck and shoulders moves, and leaves fewer gaps
CUT_OUT, LEAVES_BACKGROUND = 0.15, 0.30
HALO = 0.015  # head widths around the person in which the photograph is not sure to be background. Higher: less of a rim, more filled in
# length against the photograph's between which the stretched warp gives way to the head. Higher: smears; lower: hair and neck are lost [0 dB, 5]
STRETCH_LOW, STRETCH_HIGH = 2.2, 3.8
SKIN_REACH = 0.12  # head widths beside the face over which its expression fades. Higher: the background of a cheek moves along

# --- folded
# metres of hair before the outline, at most, of which all is made that comes into view behind it, and without which no strands are seen.
# Higher: less stretched, and less alike; fewer strands on short hair
FOLD_WIDEST, FOLD_LEAST = 0.06, 0.006
FOLD_WITHIN = 0.8  # of that hair's width that is folded over. Higher: less stretched, and nearer to the skin at the hairline
FOLD_SMOOTHING = 4  # rounds over the mesh of what is folded over. Higher: straighter strands
FOLD_MIRRORED = 0.5  # trust in the other side below which hair is folded over instead. Higher: less of the other side's hair
# times as far in the photograph as on the head, from a vertex to the next, above which there are no strands. Higher: some are smeared
FOLD_FURTHER = 2.0

# --- folded: sides that turn into view
# metres deeper for each aside, at most, where a side turns into view. Higher: ears are longer, in the end torn. By eye, at 25°, of ears, hair
# and hats; 1.5 costs a filmed face up to 0.6 dB at 16°, this 0.06
STEEPEST_SIDE = 2.2
SIDE_AWAY = 0.06  # metres from the head's middle where its sides are. Higher: less of the face's sides
# sine of the angle by which a side turns into view between which it becomes less steep. Higher: small turns are exact, larger ones tear more
SIDE_TURNED = 0.15, 0.35

# --- body
NECK_BASE = np.array([0.0, -0.15, 0.0])  # metres in the head frame: what lies there goes with the shoulders as they go. Lower: more of the chest does
BODY_REACH = 0.10, 0.50  # metres from the neck's base over which the body stops going along. Higher: more of the body moves, and more pixels a frame
# metres that the head moves without the shoulders. Higher: they stay part of the still photograph longer, and frames are made sooner
NECK_ALONE = 0.02
# metres beyond it that the head moves, of which the neck takes half; of more it takes less, of less more. Higher: stiffer shoulders, a longer neck
NECK_TAKES = 0.05

# --- body: what the photograph's border cuts off
BEYOND = 0.16  # metres that the person goes on beyond the photograph's border. Lower: gaps at the border when the person moves far
ROUNDED = 0.6  # height of hair beyond the border against half its width there. Higher: taller hair [0]
NECK_SOFT = 0.1  # head widths about the neck's base over which hair turns to shoulders. Higher: softer [0]
OUTLINE_AHEAD = 0.15  # head widths from the border over which the shoulders' direction is taken. Higher: a calmer, less local one
STEEPEST = 1.5  # pixels down that a shoulder goes beyond the border for each to the side. Higher: steeper shoulders [0]
LEAST_BESIDE = 8  # pixels above and below a face that are mirrored to and fro. Higher: forehead and chin are where there are fewer [0]

# --- projection
# cosines between surface and line of sight between which a pixel of the photograph is trusted; of eyeballs. Higher: more is mirrored or
# spread from elsewhere, less is smeared
FACING = 0.02, 0.16
EYE_FACING = 0.2, 0.4
NECK_SEEN = 0.07  # metres below the neck's base, and across, where a person goes on that has a neck. Higher: long chins are none [0]
# metres below the eyes between which the neck rests and turns with the head; metres forward count NECK_SLOPE of that upwards.
# Higher: more of the neck rests
NECK_LOW, NECK_HIGH = -0.150, -0.075
NECK_SLOPE = 0.6
CHIN = -0.088  # metres above the eyes below which skin may be the chin's underside. Higher: more of the jaw's is
# upward part of a resting normal between which skin below CHIN is the chin's front. Higher: less of the chin is drawn for sure
CHIN_FACING = -0.75, -0.35
INNER_FRONT = 0.06, 0.08  # metres before the skull's middle between which the head is drawn whatever is known. Higher: less of the cheeks

# --- fallback: colours of what no pixel shows
SURE_TRUST = 0.6  # trust, 0 to 1, above which a vertex has its own colour. Higher: fewer colours are spread over more of the head
SURE_MARGIN = 4.5  # pixels of the margin from eyes and mouth from where on skin has its own colour. Higher: less of their shade in it
LIP_MARGIN = 1.5  # the same for lips, which have few pixels
# of the skin's brightness, the least and the most of the lash line in which a closed lid ends, which is as dark as the open eye's; metres
# from the lid's edge over which it falls to 1/e, in a photograph and in a drawing. Higher: fainter; wider. Shut eyes of films are so broad
LASHES, LASH_WIDTH, LASH_WIDTH_DRAWN = (0.08, 0.5), 0.0030, 0.0016
LASH_DARKEST = 15  # percentile of an open eye's upper edge that is taken for its lashes. Higher: skin between lashes counts
LASH_TRUST = 0.3  # trust, 0 to 1, above which a vertex of that edge shows them. Higher: fewer are asked
LID_BRIGHT, LID_DARK = 60, 0.5  # percentile of skin around an eye, and the share of it below which skin is lashes or a fold. Higher: brighter lids
LASHES_FADE = 0.003  # metres beyond the ends of lashes over which what is dark begins to stay. Higher: creases and rims of glasses pale in a blink
# metres of lashes from which they are taken for a deep eye's shadow: kept on closed lids it took 0.6 dB from one of four films. Higher: it stays
LASHES_DEEP = 0.0042, 0.005
LASHES_DARKER = 0.65, 0.85  # brightness against a lid's own skin between which lashes turn to skin. Higher: more of the photograph leaves closed lids
LASH_SPREAD = 0.02  # of the distance between the eyes' middles, around each vertex, in which lashes are looked for. Higher: fewer are missed
LASHES_ZONE = 0.011, 0.015  # metres around an eye's centre between which that ends. Higher: brows pale in a blink
LASH_LENGTHS = 0.0008, 0.006  # metres, the least and the most that lashes are taken for. Higher: broader lash lines
# metres to either side of the line in which lids meet, over which the dark of their rims and of the roots of lashes falls to 1/e. Chosen on
# four films: 0.0014 is as near to the frames, and less sharp. Higher: broader lines
LASH_LINE = 0.0011
LASHES_BELOW = 0.0004, 1.3  # metres, and share of the lashes' length, over which these fade below that line. Higher: longer
LASHES_START, LASHES_END = (-0.05, 0.05), (0.95, 1.1)  # of the eye's width from its inner corner, between which it begins, and ends. Higher: later
LASHES_INNER, LASHES_LONG = 0.4, 0.4  # of the lashes' length at the inner corner; of the eye's width from there where they are long. Higher: later
LASHES_DENSE = 0.0035  # metres long, from which lashes hide all of the skin behind them. Higher: fainter lash lines
LASHES_SEEN = 0.3, 0.85  # share that lids have closed, between which their lashes hang over the lower ones. Higher: later
WAS_OPEN = 0.03, 0.10  # radians that an eye was open in the photograph, between which that is painted. Higher: narrow eyes get less [0]
EAR_SHADOW = 0.025  # metres about the ears in which no hair is looked for. Higher: the colour of the crown is behind the ears
USUAL_LIGHT = 220.0  # 0–255 of a white surface in a usual exposure. Higher: dark pictures are taken for darker skin, and get whiter teeth
LIGHT_HUE = 0.35  # share of the skin's hue against the albedo's that is taken for the light's. Higher: eyes and teeth of the skin's tint
NO_LIGHT = np.array([230.0, 220.0, 210.0])  # levels of a white surface where no skin is seen [0]
NO_SKIN = np.array([170.0, 130.0, 115.0])  # levels of skin where none is seen [0]

# --- eyes
IRIS_RADIUS = 0.0059  # metres: a fact of anatomy, the same in everyone within 4 %
LASH_TRAVEL, LASH_NEAR, LASH_FAR = 0.002, 0.0003, 0.0022  # metres down in a blink, and off the eyeball, of vertices of a lid's edge: this mesh's
LID_DEGREE = 4  # of a lid's edge, its pitch as a function of yaw. Higher: follows the mesh's corners
LID_REACH = 0.026  # metres around an eye's centre that a blink unfolds. Higher: more of the brow is drawn anew
OPENING_MARGIN = 0.7  # pixels of the margin inside an opening from where on a pixel shows nothing else. Higher: fewer, surer pixels [0]
IRIS_HIDDEN = 0.2  # of an iris's radius that its middle may lie behind a lid. Higher: whiter eyes that look far up or down
# pixels of the margin between which pixels of an eye are trusted; those of its white are used above the third. Higher: a purer ring
EYE_TRUST = 0.7, 2.2
WHITE_MARGIN = 1.2
WHITE_BEYOND = 0.08  # radians beyond the iris from where on pixels are its white. Higher: fewer pixels, without the dark ring
IRIS_RINGS = 10  # rings in an iris's radius whose colour is found. Higher: finer, from fewer pixels each
IRIS_SURE = 0.3  # trust above which a pixel counts first for its ring. Higher: fewer, surer pixels
IRIS_SHADED = 0.15  # of the eyeball's radius above the pupil from where on the lid shades the iris. Higher: darker irises
IRIS_UNSEEN = 0.3 * np.array([0.55, 0.42, 0.32])  # against the light, where no pixel of an iris is seen: brown [0]
SHADED_TRUST = 0.35  # of the trust in a lid's shadow, and in pixels of the white. Higher: more of the photograph's shades move along
IRIS_MIRRORED = 0.7  # share of its mirror half in an iris. Higher: less of its rings
IRIS_EDGE = -0.03, 0.05  # radians from the iris's radius between which iris turns to white. Wider: softer
EYE_ROUND = 0.12  # of the light lost at the eyeball's sides, between EYE_SIDES. Higher: rounder eyes
EYE_SIDES = 0.7, 1.2  # radians
WHITE_KEPT = 1.5, 3.0  # pixels of the margin between which the white's own shades are kept. Higher: plainer whites
WHITE_SHADES = 0.75, 1.15  # of the white, darkest and brightest of them. Wider: veins and reflections, and lashes
WHITE_HUE = np.array([1.035, 1.0, 0.965])  # of a white against half-way to the light's hue, of which little is known
WHITE_OWN_HUE = 0.35  # share of its own hue in a white. Higher: bluer and redder whites
WHITE_OF_LIGHT = 0.72  # of the light, a white that is not seen. Higher: brighter
WHITE_PIXELS = 12  # without which it is not. Higher: more eyes without one of their own
WHITE_LOW, WHITE_HIGH = 0.62, 1.15  # least and most brightness of a white against the skin: shadow and highlight are neither
WHITE_MOST = 245.0  # level of the brightest white
BRIGHTER_PERCENTILE = 60  # of pixels of teeth, from where on they are in the light. Higher: fewer, brighter
# the same of whites, which lids and lashes shade in the photograph, and less where they turn out. 60 took 0.25 dB from open eyes of one of four films
WHITE_PERCENTILE = 90

# --- mouth
IVORY = np.array([0.915, 0.86, 0.78])  # of teeth, cavity, tongue and throat against the light, sRGB
CAVITY = np.array([0.34, 0.115, 0.105])
TONGUE = np.array([0.56, 0.29, 0.28])
THROAT = np.array([0.17, 0.075, 0.065])
GUM = np.array([0.74, 0.44, 0.42])  # against the colour of teeth
# of the skin's colour in unseen teeth, which stand in the light of lips and cheeks; of four films' teeth 0.2 is nearest. Higher: duller, redder
TEETH_WARM = 0.2
LOWER_TEETH_SHADED = 0.9  # of the light on the upper teeth that reaches the lower ones. Higher: brighter
MOUTH_CONTINUED, MOUTH_CONTINUED_LEAST = 4, 8  # parts of the opening's width, of which it is continued by one over the lips, or so many pixels
LIPS_TOUCH = 0.0014  # metres between the lips up to which the line that they close with is seen. Higher: a wider line [0]
LIPS_LINE = 0.45  # of the light is lost in it. Higher: darker [0]
# of their brightness, between which closed lips are dark by the line they meet in, which goes as they part. Higher: less of it is left over teeth
LINE_DARKER = 0.7, 0.95
# metres: up to the first a photograph shows closed lips, from the second on their line and colour are painted. Higher: photographed longer
LIPS_PARTED = 0.003, 0.006
# metres behind the lips up to which a mouth is lit, and over which light falls to 1/e from there. Higher: a lighter throat [0.060 dB, 11]
MOUTH_LIT, MOUTH_DARK = 0.009, 0.020
LIPS_FRONT = 60  # percentile of the lips' depth from which that counts. Higher: darker [0.052 dB, 26]
MOUTH_AMBIENT = 0.65  # share of the light that does not depend on how a surface faces. Higher: flatter teeth [0.040 dB, 16]

# --- tongue that is out
TONGUE_PINK = np.array([0.94, 0.54, 0.53])  # against the light, sRGB
TONGUE_OF_LIPS = 0.35  # share of the colour of the lips in it. Higher: painted lips paint it
TONGUE_LIGHT = np.array([0.0, 0.55, 0.835])  # direction of what lights it, head frame: from above the camera
TONGUE_AMBIENT = 0.5  # share of the light that does not depend on how its surface faces. Higher: flatter
TONGUE_GROOVE, TONGUE_GROOVE_WIDTH = 0.14, 0.22  # of the light is lost in its middle; of its half width, over which. Higher: deeper; wider
TONGUE_WET, TONGUE_WET_POWER = 0.15, 12.0  # of its hue is lost where it shines; how narrow that is. Higher: wetter; smaller
TONGUE_SHADOW, TONGUE_SHADOW_REACH = 0.38, 0.0065  # of the light is lost below it; metres over which it is less. Higher: darker; wider
TONGUE_STANDS_OFF = 0.004  # metres before the lips from which on its whole shadow is seen. Higher: fainter while it comes out [0]
TONGUE_CASTS = np.array([0.0, -0.005, -0.006])  # metres from it to its shadow, head frame. Longer: more on the chin, less beside it

# --- photograph: lids
# metres that the lids of a drawing have moved, between which the drawn eye goes. Higher: the eye's outline stays on a closed lid [0]
LIDS_MOVED = 0.0015, 0.004
LIDS_PERCENTILE = 75  # of the lids' vertices that have. Higher: the drawn eye goes earlier [0 dB, 120]
# area against what the photograph shows of it, between which skin loses its pixels. Lower: lids lose their texture early; higher:
# the few pixels of a fold are smeared over a closed lid [0.001 dB, 12]
UNFOLDED = 1.8, 3.5
UNFOLDED_SMOOTHING = 2  # rounds over the mesh, so that no triangle stands out. Higher: softer [0.001 dB, 12]

# --- fallback: grain on lids
GRAIN_SIZE = 0.012  # head widths: what is finer is grain, what is coarser shape and light. Higher: wrinkles and spots of the cheek lie on lids
GRAIN_BELOW = 0.036  # metres below the eye where the cheek's grain is taken. Lower: bags and lower lashes; higher: beards
# of that strength on lids: two lookups between pixels, and the mean of four samples, leave 0.6 of what is as fine as pixels. Higher: noisier lids
GRAIN_GAIN = 1.7
GRAIN_MOST = 4.0  # of its median strength that it may have. Higher: moles and rims of glasses are seen on lids

# --- photograph and reprojector
# metres of non-rigid motion between which a vertex loses its photographed pixel. Higher: wrinkles stay where the skin has moved away [0.030 dB, 49]
CHANGED = 0.0006, 0.0025
# metres that most of the lips have moved, between which the mouth's inside is drawn anew. Higher: the photograph's teeth stay longer [0]
OPENED = 0.0008, 0.0030
# radians, seen from the eye's centre, between the lids from which on an eye lies in their shadow, and is lit; its light in that shadow.
# Higher: narrow eyes are darker; slits shine
NARROW, NARROW_LIGHT = (0.06, 0.30), 0.5
# pixels that a vertex has moved, between which it leaves its own photographed pixel. Higher: slow moves blur over the still photograph [0.001 dB, 14]
STILL = 0.5, 3.0
FACE_FACING = 0.0, 0.25  # cosine to the line of sight between which the face is opaque over the warp. Higher: less of its sides is [0.001 dB, 29]
MOUTH_FRONT = 0.06  # metres in front of the skull's middle, behind which nothing is at the mouth's edge. Higher: rougher edges of teeth [0]
PAINTED_LEAST = 0.1  # share that is painted from which a triangle's edges are smoothed. Higher: rougher, faster [0.001 dB, 12]
SEAM = 0.02  # head widths at the warped person's edge that are not all person. Higher: more of the edge is the head's own render
SEAM_WARP, SEAM_HEAD = (0.6, 1.0), (0.8, 1.0)  # mean opacity around a pixel of such an edge, and of the head behind it. Higher: wider [0.072 dB, 215]
# share of following the head between which the warped person gives way to the head. Higher: more of the neck is the warp's [0.011 dB, 12]
TURNS = 0.3, 0.9
# the middle of the face, which opens and closes: metres before the skull's middle, above the eyes, to the sides, and the share of
# following, between which it begins or ends. Wider: more of the face is the head's render, less the warp's
SOLID_DEPTH, SOLID_UP, SOLID_ACROSS, SOLID_FOLLOW = (0.035, 0.062), (0.04, 0.065), (0.045, 0.062), (0.8, 1.0)

# --- references: further photographs. Chosen on six videos of people, of which four frames are references and others the truth
# metres that most of the lips have moved, between which a reference's mouth is drawn anew. Higher: its teeth stay longer [0]
REFERENCE_OPENED = 0.002, 0.006
# share of following the head between which a reference's hair and neck come in. Higher: more of the neck is the portrait's
REFERENCE_FOLLOWS = 0.6, 0.95
WIDE_OPEN = 0.008  # head widths² of a mouth's inside that show all that is needed of it. Higher: wider mouths are preferred [0]
# of inside, lips, lids, irises, front and sides: metres of the skin's motion, radians between the views and radians of gaze that cost
# half a unit; by a unit more, a photograph has 1/e of another's share. Higher: more photographs are mixed, and soften one another
NEAR_MOVED = np.array([0.0030, 0.0010, 0.0006, 0.0006, 0.0006, 0.0006, 0.0009, 0.0054, 0.0054])
NEAR_TURNED = np.array([0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.07, 0.09, 0.09])
NEAR_LOOKED = np.array([np.inf, np.inf, 0.12, 0.12, 0.04, 0.04, np.inf, np.inf, np.inf])
NEAR_POWER = 4.0  # of the ratio of far distances, by which shares fall. Higher: less is mixed half-way between two photographs, in less time
# units that the portrait is before the others, most in irises, and each before the next, most in mouths. Higher: less is mixed, later changes
PORTRAIT_FIRST = np.array([1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 1.0, 0.5, 0.5])
IN_ORDER = np.array([1.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 2.0])
SHARE_LEAST = 0.06  # of the largest share, below which a photograph has none. Higher: fewer photographs are mixed
QUALITY_LEAST = 0.05  # of a photograph, 0 to 1: what shows next to nothing is used where all else is far [0]
SHARE_FROM_REST = 0.4  # of NEAR_… from the portrait's own pose, from where on the others have their whole share. Higher: they come later
# metres from the middle of the lips and of an eye, and to the side, over which regions meet. Higher: wider regions
NEAR_LIPS, NEAR_EYE, NEAR_SIDE = (0.030, 0.052), (0.018, 0.030), (0.040, 0.060)
LIGHT_AROUND = 0.02  # head widths over which colours are averaged before they are compared. Higher: pores and misfits count less
LIGHT_FLOOR = 12.0  # levels added to what is compared. Higher: shadows weigh less against lights
LIGHT_STIFF = 0.25  # of the light's direction, against as many vertices as agree. Higher: the whole picture is made lighter or warmer
LIGHT_OFF = 0.12  # of the logarithm: a vertex that is so far off counts half. Higher: hair over the skin counts as light
LIGHT_ROUNDS = 4  # of fitting, each with less weight for what is off
LIGHT_LARGEST = 0.7  # of the logarithm: no picture is made more than twice as light or dark [0]

# --- kernels
MARGIN_HEAD = 200  # pixels of a head's width, up to which a pixel of the margin is one. Higher: wider margins on large heads
# pixels of the margin between which a pixel is trusted, by kind of surface (none, SKIN, EYE, MOUTH, TEETH): the first two where the
# expression has changed, the others where it has not. Higher: less of the photograph at rims. Around an unchanged mouth its picture is
# continued outwards, so that margins are negative there [0.011 dB, 39]
SAMPLE_MARGINS = np.array(
    [[0.0, 1.0, 0.0, 1.0], [2.5, 7.0, 0.0, 0.8], [0.7, 2.0, 0.0, 0.8], [0.7, 2.0, -24.0, -16.0], [-4.0, -1.5, -24.0, -16.0]],
    np.float32,
)


class KernelTuning(NamedTuple):
    """What compiled kernels read: numbers of a mouth and an eye, and how far a pixel is trusted."""

    margins: Array = SAMPLE_MARGINS  # see there
    hidden_from: float = 0.008  # metres behind the nearest surface up to which a point is seen. Higher: noses on cheeks behind them
    hidden_over: float = 0.008  # metres more over which it is less and less. Higher: softer edges of what is hidden
    lid_shadow: float = 0.5  # of the light that is lost on an eye at its upper lid. Higher: darker [0.029 dB, 25]
    lashes_apart: float = 0.0009  # metres between tufts of lashes at their roots. Higher: coarser
    # share by which some are longer and shorter: 0.3 takes 0.2 dB from shut eyes of four films, 0 a tenth of their sharpness. Higher: more ragged
    lashes_uneven: float = 0.2
    lashes_spread: float = 40.0  # share of their distance from the eye's middle by which they spread, a metre of length. Higher: more fanned
    lid_shadow_reach: float = 0.20  # radians down to where that ends. Higher: further [0.013 dB, 14]
    # metres along the arch from the middle to where each tooth ends: a fact of anatomy [0.004 dB, 29]
    upper_teeth: Array = np.array([0.0085, 0.0153, 0.0229, 0.0299, 0.0367, 0.0467, 0.0567])
    lower_teeth: Array = np.array([0.0054, 0.0113, 0.0181, 0.0251, 0.0322, 0.0432, 0.0537])  # [0 dB, 22]
    crown: float = 0.0098  # metres from the biting edge to the gum. Higher: longer teeth [0 dB, 41]
    crown_arch: float = 0.0022  # metres less between two teeth. Higher: gums in waves [0 dB, 4]
    gap: float = 0.0005  # metres between two teeth. Higher: darker lines [0.001 dB, 4]
    gap_dark: float = 0.06  # of the light that is lost in it; lines that misfit cost more than none. Higher: darker lines
    rounded: float = 0.0011  # metres that a tooth's corner is off its edge. Higher: rounder [0.004 dB, 8]
    edge_softness: float = 0.0004  # least metres over which its edge fades, and its gum. Higher: softer [0]
    gum_softness: float = 0.0008  # [0 dB, 1]
    beyond_edge: float = 0.25  # of the light beyond the edge. Higher: fainter corners [0.001 dB, 3]
    bulge: float = 0.06  # of the light that is lost at a tooth's sides. Higher: rounder [0.001 dB, 1]
    molars: float = 0.018  # metres along the arch from which cheeks take the light from teeth, over as many again. Higher: lit further [0.014 dB, 22]
    molars_dark: float = 0.9  # most of the light that they take [0.001 dB, 9]


KERNELS = KernelTuning()

# --- stillness
# head widths that something travels near a pixel up to which the pixel is the photograph's own, and from which on it is drawn anew.
# Higher: outlines jump less as a movement begins, and small movements are doubled
SETTLED = (0.0, 0.008)
STILL_MARGIN = 2  # knots around whatever moves that are drawn anew with it. Higher: more of the outline changes with a blink
