# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sees and presses: operators, panels and the properties that they show."""
