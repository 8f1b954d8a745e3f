# %% [markdown]
# # From a contaminated tilt series to the clean specimen
#
# While a tilt series is recorded, the beam draws carbon onto the specimen, and every projection sees a little
# more of it. A reconstruction that assumes that nothing changes smears this carbon into the volume.
# `napari-stinr` reconstructs the potential in space *and* time, V(x, y, z, t), and shows it at t = 0: the
# specimen as it was before the beam touched it.
#
# This example needs no GPU, no data and about half a minute on two cores: the experiment is simulated, so that
# the result can be compared with the truth. Run it cell by cell as a notebook, or in one go as a script:
# `python clean_specimen.py`. Both write into the folder `clean-specimen`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import napari_stinr as stinr

folder = Path("clean-specimen")

# %% [markdown]
# ## Record a tilt series
#
# A small double-walled carbon nanotube around a Zr-Te sandwich, 61 projections from 0 to 180 degrees, one after
# the other, while carbon grows over it from one side. The projections are computed with abTEM and written as the
# files that a microscope gives: `stack.mrc`, the tilt angles in `stack.rawtlt` and the times in `times.csv`. What
# is true about the specimen lies beside them.
#
# **With data of your own** leave out this cell and the two that compare with the truth, and give your file to the
# next one.

# %%
simulation = stinr.simulate(stinr.SimulationConfig(grid=(48, 24, 48), tilt_step=3.0))
stinr.write_simulation(folder, simulation)

# %% [markdown]
# ## Read it
#
# Angles, times and pixel size are found beside the stack or in its header; each can also be given, as in
# `read_tilt_series("stack.mrc", tilt_angles="stack.rawtlt", times="times.csv", pixel_size=0.5)` (in Å). The
# *time* of every projection is all that tells contamination from specimen: where no file knows it, say at least
# in which order you tilted, as `times="dose-symmetric"`. The notes say what was found, and where.

# %%
series = stinr.read_tilt_series(folder / "stack.mrc")
print(*series.notes, sep="\n")

# %% [markdown]
# Where something grows, the total intensity of the projections rises with time. A curve that falls and rises
# again points to wrong times.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].imshow(series.projections[-1], cmap="gray")
axes[0].set_title("last projection")
axes[1].plot(series.times, series.projections.sum(axis=(1, 2)), ".")
axes[1].set(title="total intensity", xlabel="time (0: first, 1: last projection)", ylabel="V·Å")
figure.savefig(folder / "series.png")

# %% [markdown]
# ## Reconstruct it twice
#
# - `growth` (the default): every atom is specimen, or arrives once and stays.
# - `static`: nothing changes, as existing software assumes. This is the comparison that every report should show.
#
# The same seed gives the same volume again. Larger series want all their threads; this small one is quickest with
# one.

# %%
runs = {preset: stinr.reconstruct(series, preset=preset, seed=0, threads=1) for preset in ("static", "growth")}
volumes = {preset: run.render(t=0.0) for preset, run in runs.items()}

# %% [markdown]
# ## Compare
#
# Because the truth is known, both can be scored: by the error (0: the truth itself, 1: an empty volume), and by
# how much of the carbon is left at t = 0, where there should be none. For a specimen of your own, look at the two
# side by side.

# %%
for preset, volume in volumes.items():
    score = stinr.evaluate(
        volume, simulation.truth, contamination=simulation.contamination, voxel_size=simulation.config.pixel_size
    )
    print(f"{preset:8} error {score.nrmse:.2f}   carbon left {100 * score.contamination_left:.0f} %")

# %%
shown = {**volumes, "truth": simulation.truth}
brightest = 0.4 * float(simulation.truth.sum(axis=1).max())  # of Zr and Te; carbon is weaker
figure, axes = plt.subplots(1, len(shown), figsize=(9, 3), layout="constrained")
for axis, (name, volume) in zip(axes, shown.items(), strict=True):
    # Along the tilt axis y, which is that of the tube.
    axis.imshow(volume.sum(axis=1), cmap="gray", vmin=0, vmax=brightest)
    axis.set(title=f"{name}, t = 0", xlabel="x", ylabel="z")
figure.savefig(folder / "comparison.png")

# %% [markdown]
# ## Export
#
# The TIFF keeps its voxel size in ImageJ; `.mrc` and `.ome.tif` work, too. The run itself is saved as a `.stinr`
# file, which napari opens, with a slider for the time.

# %%
clean = runs["growth"]
stinr.write_volume(folder / "clean.tif", clean.render(t=0.0), voxel_size=clean.voxel_size)
stinr.write_volume(folder / "carbon.tif", clean.contamination(t=1.0), voxel_size=clean.voxel_size)
clean.save(folder / "growth.stinr")
print("saved in", folder.resolve())
