"""Renders pictures of a person in a studio.

Rasterised at twice the size and averaged for antialiasing; shaded in linear colour.
"""

from __future__ import annotations

import numpy as np

from mimaface.face.head import Head
from mimaface.face.pose import FacePose
from mimaface.geometry.rasterise import rasterise, vertex_normals
from mimaface.protocol.arrays import Array
from mimaface.reprojection.tuning import IRIS_RADIUS

from .attire import COLLAR, neck_follows
from .people import TEXTURE, Person
from .shading import EYE, LASHES, MOUTH, SKIN, TEETH, Look, Scene, develop, shade
from .studio import Studio

SUPERSAMPLING = 2  # samples per side of a pixel. Raised: softer edges, and slower by the square
BY_PART = {
    "skin": SKIN,
    "eye_left": EYE,
    "eye_right": EYE,
    "teeth_upper": TEETH,
    "teeth_lower": TEETH,
    "tongue": MOUTH,
    "mouth_inside": MOUTH,
    "lashes": LASHES,
}


class Camcorder:
    """Renders one person in one studio. ``body`` (3, 3) is the rotation of the shoulders during the shot."""

    def __init__(self, person: Person, studio: Studio, body: Array, seed: int) -> None:
        head = Head.load()
        self.person, self.studio, self.body, self.seed = person, studio, body, seed % (1 << 30)
        names = [name for name in head.parts if name in BY_PART]
        drawn = head.part(*names)
        drawn = drawn[~(head.vertices[head.triangles[drawn], 1] < COLLAR - 0.014).any(1)]
        self._inside = np.isin(drawn, head.part("mouth_inside"))
        shading = np.array([BY_PART.get(name, 0) for name in head.parts], np.uint8)[head.triangle_part[drawn]]
        uv = head.uv[head.uv_triangles[drawn]] * [TEXTURE, -TEXTURE] + [0, TEXTURE]  # (N, 3 corners, 2)
        triangles, kinds, colours, patterns, follows = [head.triangles[drawn]], [shading], [], [], []
        start = len(head.vertices)
        for piece in person.attire.pieces:
            triangles.append(piece.triangles + start)
            kinds.append(np.full(len(piece.triangles), piece.shading, np.uint8))
            start += len(piece.vertices)
            colours.append(piece.colour)
            patterns.append(piece.pattern)
            follows.append(piece.follow)
        self._triangles = np.ascontiguousarray(np.concatenate(triangles), np.int32)
        self._kind = np.concatenate(kinds)
        self._uv = np.zeros((len(self._triangles), 3, 2), np.float32)
        self._uv[: len(uv)] = uv
        own = np.tile([0.62, 0.33, 0.32], (len(head.vertices), 1))
        own[head.vertices_of("mouth_inside")] = [0.42, 0.15, 0.14]
        lids = 0.8 * person.skin.mean((0, 1))
        own[head.vertices_of("lashes")] = lids + person.lashes * (np.array([0.08, 0.06, 0.05]) - lids)
        self._colour = np.concatenate([own, *colours]).astype(np.float32)
        self._pattern = np.concatenate([self._patterns(head), *patterns]).astype(np.float32)
        self._follow = np.concatenate([neck_follows(head.vertices), *follows])[:, None]
        self._worn = np.concatenate([piece.vertices for piece in person.attire.pieces])
        neutral = np.concatenate([head.posed(person.identity, np.zeros(head.expression_size), np.zeros((2, 2))), self._worn])
        self._resting = neutral @ body.T + studio.translation
        self._lip = float(np.percentile(neutral[: len(head.vertices)][head.region("lips"), 2], 60))
        light = studio.light
        lamps = np.stack([light.key, light.key_colour, light.rim, light.rim_colour, light.sky, light.ground]).astype(np.float32)
        iris_size = IRIS_RADIUS / head.eye_radius
        self._look = Look(lamps, light.softness, person.gloss, person.skin, person.iris, person.teeth, iris_size, self.seed)

    def _patterns(self, head: Head) -> Array:
        """Returns the pattern coordinates of head vertices: positions, and on eyeballs the direction (3,) from the centre."""
        result = head.vertices.copy()
        for side, name in enumerate(("eye_left", "eye_right")):
            ball = head.vertices_of(name)
            result[ball] = (head.vertices[ball] - head.eye_centres[side]) / head.eye_radius
        return result

    def vertices(self, pose: FacePose) -> Array:
        """Returns all vertices (V, 3) in the camera frame: the head follows the pose, the body does not."""
        shape = Head.load().posed(self.person.identity, pose.blendshapes, pose.gaze)
        moved = np.concatenate([shape, self._worn]) @ pose.rotation.T + pose.translation
        return np.asarray(self._follow * moved + (1 - self._follow) * self._resting)

    def take(self, pose: FacePose) -> Array:
        """Returns the picture (S, S, 3) uint8 of a pose."""
        studio, size = self.studio, self.studio.camera.width
        posed = self.vertices(pose)
        normals = vertex_normals(posed, self._triangles)
        points = studio.camera.project(posed)
        drawn = self._facing(points)
        raster = rasterise(points * [SUPERSAMPLING, SUPERSAMPLING, 1], self._triangles[drawn], size * SUPERSAMPLING, size * SUPERSAMPLING)
        scene = Scene(
            self._triangles[drawn], self._kind[drawn], self._uv[drawn], normals.astype(np.float32), posed.astype(np.float32),
            self._colour, self._pattern, (self._lip - (posed[:, 2] - pose.translation[2])).astype(np.float32),
        )  # fmt: skip
        picture = shade(raster.triangle, raster.barycentric, scene, self._look, SUPERSAMPLING)
        gain = (studio.exposure * studio.tint).astype(np.float32)
        return np.asarray(develop(picture, studio.background, gain, np.float32(studio.contrast)))

    def _facing(self, points: Array) -> Array:
        """Returns the triangles to draw: the mouth's lining only from inside, for its thin walls would intersect the skin."""
        keep = np.ones(len(self._triangles), bool)
        inner = np.flatnonzero(self._inside)
        a, b, c = (points[self._triangles[inner, corner], :2] for corner in range(3))
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        keep[inner] = area < 0  # counter-clockwise with v down
        return np.flatnonzero(keep)
