"""What stands between a file and a library that reads it in this very process.

HDF5, MATLAB and DM files are read in a process of their own (:mod:`napari_stinr.io.formats.isolation`), so that a hang,
a crash or a full memory of their libraries hurts nobody. TIFF, NumPy and MRC files are opened here: their libraries are
written in Python and do not crash, and a process would have to be started for them. No process can notice numbers that
are wrong, either. What is left to guard against:

- :mod:`~napari_stinr.io.formats.guards.tiff_directories`: a file of a kilobyte whose directories overlap or go round
  declares millions of entries, which tifffile lists.
- :mod:`~napari_stinr.io.formats.guards.tiff_contents`: OME-XML declares images that are not there, which tifffile
  takes memory for and shows as zeros; a strip of Deflate expands a thousand times, and tifffile expands it whole.
- :mod:`~napari_stinr.io.formats.guards.zip_archives`: Python reads the list of members of an archive whole, whatever
  its length, and members may overlap, so that a few bytes expand to any size.
- :mod:`~napari_stinr.io.formats.guards.hdf5_chunks`: where a chunk expands to less than declared, libhdf5 (2.0 at the
  latest) returns what is in the memory behind it as pixels, without a word.

Limits that hold for every format are in :mod:`napari_stinr.io.formats.limits`: they compare what a file declares with
its size, with what compression can do to real images, and with free memory.
"""
