# SPDX-License-Identifier: GPL-3.0-or-later
"""Data of the open file: rigs, photographs, strips, takes. No module here uses the backend or draws panels."""
