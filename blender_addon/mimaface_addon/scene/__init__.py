# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the open file: rigs, photographs, strips, takes. Nothing here knows the backend or draws a panel."""
