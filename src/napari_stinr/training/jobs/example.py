"""A file of jobs that explains itself: what `stinr run --example` prints."""

EXAMPLE = """\
# Jobs for stinr run. Names and values are those of the options of stinr train (stinr train --help); a dash in a name
# may be an underscore. Files are relative to the folder of this file, and folders of results are made.

defaults:                            # of every job that does not say otherwise
  preset: growth                     # growth, static or paper; or config: with a file, or with settings as below
  out: results/<name>.stinr          # <name> is that of the job, <stack> that of its stack, <seed> its seed
  export:
    clean: results/<name>_clean.tif  # also .mrc and .ome.zarr, or several: [a.tif, a.mrc]
    contamination: results/<name>_contamination.tif
    # series: results/<name>_series.tif
    # times: 11                      # so many times from the first to the last projection, or a list: [0, 0.5, 1]

jobs:
  - stack: needle.mrc                # angles, times and pixel size are looked for in it and beside it

  - name: rod                        # by default the name of the stack
    stack: rod.tif
    angles: -60:2                    # from -60 degrees in steps of 2, or a file
    times: dose-symmetric            # the order of recording, or a file
    pixel-size: 0.8
    exclude: [0, 57:60]

  - name: rod-<seed>                 # one job for each seed: what they all show is no chance
    stack: rod.tif
    angles: -60:2
    times: dose-symmetric
    pixel-size: 0.8
    exclude: [0, 57:60]
    seed: [1, 2]

  - name: <stack>-static             # one job for each file that fits
    stack: particles/*.mrc
    config:
      preset: static
      training: {visits: 200}
    export: results/<name>.mrc       # nothing changes in a static run: it has one volume
"""
