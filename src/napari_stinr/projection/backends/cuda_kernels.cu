// Kernels of the projector for graphics processors: project slices for many tilts, and the adjoint.
//
// The text needs no header, so that NVRTC compiles it on any machine with a driver, and a C++ compiler does for tests.
// What a slice is at a time: fields.base.Slices. The footprint is that of projection.footprint, of positions in units of
// 2^-32 pixel: sums of them are exact, and no double precision is needed, in which many graphics processors are slow.
//
// rays: (m, 4) cosine, sine, origin [2^-32 pixel] and time [2^-32 t], from projection.footprint.fixed_point.
// kind: 0 a density that does not change, 1 with an arrival time, 2 also with a share that was always there.

#define MARGIN 3       // cells before the first pixel of a line
#define EXTRA_CELLS 7  // cells of a line beyond its pixels
#define ROWS 4         // detector rows of a thread: they share the geometry of every voxel
#define THREADS 128    // of a block that projects
#define TILE 12        // voxels along z and x of a tile
#define WINDOW 20      // cells that a tile touches at most: its diagonal, and the four of a voxel
#define UNIT 2.3283064365386963e-10f  // 2^-32

struct Taps {
  int below;
  float w0, w1, w2, w3;
};

// Catmull-Rom weights, as in projection.footprint.catmull_rom_weights.
__device__ __forceinline__ Taps footprint(long long u) {
  Taps taps;
  taps.below = (int)(u >> 32);
  float f = (float)(unsigned int)u * UNIT;
  taps.w0 = ((-0.5f * f + 1.0f) * f - 0.5f) * f;
  taps.w1 = (1.5f * f - 2.5f) * f * f + 1.0f;
  taps.w2 = ((-1.5f * f + 2.0f) * f + 0.5f) * f;
  taps.w3 = (0.5f * f - 0.5f) * f * f;
  return taps;
}

// No tap of a voxel there is on the line.
__device__ __forceinline__ bool misses(int below, int n_pixels) {
  return (unsigned int)(below + 2) > (unsigned int)(n_pixels + 2);
}

__device__ __forceinline__ float arrived(float arrival, float t, float steepness) {
  return __fdividef(1.0f, 1.0f + __expf((arrival - t) * steepness));
}

__device__ __forceinline__ float present(float density, float arrival, float share, int kind, float t, float steepness) {
  if (kind == 0) return density;
  float there = arrived(arrival, t, steepness);
  if (kind == 2) there += share * (1.0f - there);
  return density * there;
}

__device__ __forceinline__ void put(float4* cell, float4 value) {
  float4 sum = *cell;
  sum.x += value.x;
  sum.y += value.y;
  sum.z += value.z;
  sum.w += value.w;
  *cell = sum;
}

__device__ __forceinline__ void add(float4& sum, float weight, float4 value) {
  sum.x += weight * value.x;
  sum.y += weight * value.y;
  sum.z += weight * value.z;
  sum.w += weight * value.w;
}

// density, arrival, share: (depth, width, quads) of four rows each. lines: (chunks, m, n_pixels + EXTRA_CELLS, quads),
// 0 before. A thread projects some square tiles of a slice for one tilt. It holds the four cells that a voxel touches,
// and those that a tile touches in shared memory; no other writes to its line, so that the result does not depend on
// their order. Threads of a block see the same voxels for several tilts, which then come from the cache.
extern "C" __global__ void __launch_bounds__(THREADS)
    project(const float4* density, const float4* arrival, const float4* share, int kind, const long long* rays, int m,
            float steepness, int depth, int width, int quads, int n_pixels, int tiles, float4* lines) {
  __shared__ float4 windows[WINDOW * THREADS];
  int item = blockIdx.x * THREADS + threadIdx.x, quad = item % quads, k = item / quads, chunk = blockIdx.y;
  if (k >= m) return;
  float4* window = windows + threadIdx.x;
  const long long cosine = rays[4 * k], sine = rays[4 * k + 1], origin = rays[4 * k + 2];
  const float t = (float)rays[4 * k + 3] * UNIT;
  float4* line = lines + ((size_t)chunk * m + k) * (n_pixels + EXTRA_CELLS) * quads + quad;
  const float4 nothing = {0.0f, 0.0f, 0.0f, 0.0f};
  int across = (width + TILE - 1) / TILE, n_tiles = across * ((depth + TILE - 1) / TILE);
  int last = (chunk + 1) * tiles < n_tiles ? (chunk + 1) * tiles : n_tiles;
  for (int tile = chunk * tiles; tile < last; ++tile) {
    const int z0 = tile / across * TILE, x0 = tile % across * TILE;
    const int z1 = z0 + TILE < depth ? z0 + TILE : depth, x1 = x0 + TILE < width ? x0 + TILE : width;
    long long row = origin + (((2LL * z0 - (depth - 1)) * sine + (2LL * x0 - (width - 1)) * cosine) >> 1);
    // The first cell that the tile touches: its corner with the least position has it.
    long long corner = row + (sine < 0 ? (z1 - 1 - z0) * sine : 0) + (cosine < 0 ? (x1 - 1 - x0) * cosine : 0);
    const int base = (int)(corner >> 32) + MARGIN - 1;
    if (base >= n_pixels + EXTRA_CELLS || base + WINDOW <= 0) continue;
    for (int i = 0; i < WINDOW; ++i) window[i * THREADS] = nothing;
    float4 a0 = nothing, a1 = nothing, a2 = nothing, a3 = nothing;
    int here = 0;
    for (int z = z0; z < z1; ++z, row += sine) {
      long long u = row;
      size_t i = ((size_t)z * width + x0) * quads + quad;
      for (int x = x0; x < x1; ++x, u += cosine, i += quads) {
        Taps taps = footprint(u);
        int cell = taps.below + MARGIN - 1 - base;
        if (cell != here) {
          if (cell == here + 1) {
            put(window + here * THREADS, a0);
            a0 = a1, a1 = a2, a2 = a3, a3 = nothing;
          } else if (cell == here - 1) {
            put(window + (here + 3) * THREADS, a3);
            a3 = a2, a2 = a1, a1 = a0, a0 = nothing;
          } else {
            put(window + here * THREADS, a0);
            put(window + (here + 1) * THREADS, a1);
            put(window + (here + 2) * THREADS, a2);
            put(window + (here + 3) * THREADS, a3);
            a0 = a1 = a2 = a3 = nothing;
          }
          here = cell;
        }
        float4 d = density[i], a = kind > 0 ? arrival[i] : nothing, s = kind > 1 ? share[i] : nothing, v;
        v.x = present(d.x, a.x, s.x, kind, t, steepness);
        v.y = present(d.y, a.y, s.y, kind, t, steepness);
        v.z = present(d.z, a.z, s.z, kind, t, steepness);
        v.w = present(d.w, a.w, s.w, kind, t, steepness);
        add(a0, taps.w0, v);
        add(a1, taps.w1, v);
        add(a2, taps.w2, v);
        add(a3, taps.w3, v);
      }
    }
    put(window + here * THREADS, a0);
    put(window + (here + 1) * THREADS, a1);
    put(window + (here + 2) * THREADS, a2);
    put(window + (here + 3) * THREADS, a3);
    for (int i = 0; i < WINDOW; ++i) {
      int cell = base + i;
      if (cell >= 0 && cell < n_pixels + EXTRA_CELLS) put(line + (size_t)cell * quads, window[i * THREADS]);
    }
  }
}

// lines: (m, rows, n_pixels + EXTRA_CELLS) gradient of the loss by every cell; all others (rows, depth, width).
// With b what comes back from a tilt and s what has arrived by then, all gradients are made of the sums over the tilts
// of b s, b s (1 - s) and b (1 - s).
extern "C" __global__ void backproject(const float* lines, const float* density, const float* arrival,
                                       const float* share, int kind, const long long* rays, int m, float steepness,
                                       int depth, int width, int rows, int n_pixels, float* by_density,
                                       float* by_arrival, float* by_share) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, z = blockIdx.y * blockDim.y + threadIdx.y, first = blockIdx.z * ROWS;
  if (x >= width || z >= depth) return;
  const size_t plane = (size_t)depth * width, cells = n_pixels + EXTRA_CELLS;
  const size_t voxel = first * plane + (size_t)z * width + x;
  float arrives[ROWS], came[ROWS], turned[ROWS], missed[ROWS];
#pragma unroll
  for (int j = 0; j < ROWS; ++j) {
    arrives[j] = kind > 0 && first + j < rows ? arrival[voxel + j * plane] : 0.0f;
    came[j] = turned[j] = missed[j] = 0.0f;
  }
  for (int k = 0; k < m; ++k) {
    long long u = rays[4 * k + 2] + (((2LL * z - (depth - 1)) * rays[4 * k + 1] + (2LL * x - (width - 1)) * rays[4 * k]) >> 1);
    Taps taps = footprint(u);
    if (misses(taps.below, n_pixels)) continue;
    const float t = (float)rays[4 * k + 3] * UNIT;
    const float* line = lines + ((size_t)k * rows + first) * cells + (taps.below + MARGIN - 1);
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
      if (first + j < rows) {
        const float* near = line + j * cells;
        float back = taps.w0 * near[0] + taps.w1 * near[1] + taps.w2 * near[2] + taps.w3 * near[3];
        if (kind == 0) {
          came[j] += back;
        } else {
          float there = arrived(arrives[j], t, steepness), missing = 1.0f - there;
          came[j] += back * there;
          turned[j] += back * there * missing;
          missed[j] += back * missing;
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < ROWS; ++j) {
    if (first + j < rows) {
      size_t i = voxel + j * plane;
      float grows = kind > 0 ? density[i] : 0.0f, gradient = came[j];
      if (kind == 2) {
        gradient += share[i] * missed[j];
        by_share[i] = grows * missed[j];
        grows *= 1.0f - share[i];
      }
      by_density[i] = gradient;
      if (kind > 0) by_arrival[i] = -grows * turned[j] * steepness;
    }
  }
}
