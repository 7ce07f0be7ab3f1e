# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's interface: operators, panels and the properties that they show."""
