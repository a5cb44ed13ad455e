// What the steps of a compiled model call: matrix products, sums by index, functions of a number.
// Before this text stand `typedef double real;` (or float) and `enum { BLOCK = 16 };` (block_size).
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <tgmath.h>

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")  // clang does so by itself

// A product is made of tiles, TALL rows of 64 bytes, that are summed up in registers. Vectors are as wide
// as the machine's own: wider ones would be split badly.
#if defined __AVX512F__
enum { BYTES = 64, TALL = 8 };
#elif defined __AVX__
enum { BYTES = 32, TALL = 4 };
#elif defined __aarch64__
enum { BYTES = 16, TALL = 4 };
#else
enum { BYTES = 16, TALL = 2 };
#endif
typedef real vector __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
enum { WIDTH = 64 / sizeof(real), LANES = BYTES / sizeof(real), VECTORS = 64 / BYTES };
enum { PANEL = 256 };  // rows of b, WIDTH columns of which (16 KB) stay in the nearest cache

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// A causal mask, maybe with a window (0: none), hides most scores: at row t, column s, token t may look at s
// only if 0 <= t - s < window. Blocks of 8 x 8 scores exist if one of them is left: in row t the columns from
// first_column to end_column, in column s the rows from first_row to end_row. No others are read.
INLINE int64_t first_column(int64_t t, int64_t window) {
  return window ? most(0, ((t & ~7) - window + 1) & ~7) : 0;
}
INLINE int64_t end_column(int64_t t, int64_t T) { return least(T, (t & ~7) + 8); }
INLINE int64_t first_row(int64_t s) { return s & ~7; }
INLINE int64_t end_row(int64_t s, int64_t window, int64_t T) {
  return window ? least(T, (((s | 7) + window - 1) & ~7) + 8) : T;
}
enum { FULL, RESULT, LEFT, LEFT_T };  // which matrix of a product holds scores: none, c, a, a transposed

// c[m, WIDTH] = or += a[m, K] @ b[K, WIDTH]; the compiler knows m.
INLINE void tile(const int m, int64_t K, const real *a, int64_t ra, int64_t ca, const real *b, int64_t rb,
                 real *c, int64_t rc, int add) {
  vector sum[TALL][VECTORS];
  UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < VECTORS; j++) sum[i][j] = (vector){0};
  for (int64_t k = 0; k < K; k++) {
    vector y[VECTORS];
    UNROLL for (int j = 0; j < VECTORS; j++) y[j] = *(const vector *)(b + k * rb + j * LANES);
    UNROLL for (int i = 0; i < m; i++)
      UNROLL for (int j = 0; j < VECTORS; j++) sum[i][j] += a[i * ra + k * ca] * y[j];
  }
  UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < VECTORS; j++) {
    vector *to = (vector *)(c + i * rc + j * LANES);
    if (add) sum[i][j] += *to;
    *to = sum[i][j];
  }
}

// c[m, N] = or += the first N of the WIDTH columns of the tile a.
INLINE void edge(int64_t m, int64_t N, const real *a, real *c, int64_t rc, int add) {
  for (; m > 0; m--, a += WIDTH, c += rc) {
    int64_t i = 0;
    for (; i + LANES <= N; i += LANES) {
      vector sum = *(const vector *)(a + i);
      if (add) sum += *(vector *)(c + i);
      *(vector *)(c + i) = sum;
    }
    for (; i < N; i++) c[i] = add ? c[i] + a[i] : a[i];
  }
}

// The part of a product that rows start to stop of b contribute.
static void product(int kind, int64_t window, int64_t M, int64_t N, int64_t K, int64_t start, int64_t stop,
                    const real *a, int64_t ra, int64_t ca, const real *b, int64_t rb, int64_t cb,
                    real *c, int64_t rc, int add) {
  real panel[PANEL * WIDTH], rest[TALL * WIDTH];
  int pack = cb != 1 || M > 2 * TALL;  // rows far apart would be fetched again for each tile
  for (int64_t j = 0; j < N; j += WIDTH) {
    int64_t columns = least(WIDTH, N - j), row = rb, whole = columns == WIDTH;
    const real *block = b + start * rb + j * cb;
    if (pack) {
      for (int64_t k = 0; k < stop - start; k++) {
        real *to = panel + k * WIDTH;
        if (cb == 1) memcpy(to, block + k * rb, 64);
        else if (whole) UNROLL for (int i = 0; i < WIDTH; i++) to[i] = block[k * rb + i * cb];
        else for (int64_t i = 0; i < columns; i++) to[i] = block[k * rb + i * cb];
      }
      block = panel, row = WIDTH;
    }
    int64_t end = kind == RESULT ? end_row(j + columns - 1, window, M) : M;
    for (int64_t i = kind == RESULT ? first_row(j) : 0; i < end; i += TALL) {
      int64_t first = 0, last = K, from = start, to = stop, m = least(TALL, end - i);
      if (kind == LEFT) first = first_column(i, window), last = end_column(i, K);
      if (kind == LEFT_T) first = first_row(i), last = end_row(i, window, K);
      if (kind == LEFT || kind == LEFT_T) {
        from = most(first, start), to = least(last, stop);
        if (start && from >= to) continue;  // what the first part has set to 0 stays so
      }
      const real *x = a + i * ra + from * ca, *y = block + (from - start) * row;
      real *result = c + i * rc + j, *z = whole ? result : rest;
      int64_t rz = whole ? rc : WIDTH;
      int more = add || from > first;
      switch (m) {
#define CASE(m) case m: if (m <= TALL) tile(m, to - from, x, ra, ca, y, row, z, rz, whole && more); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
      }
      if (!whole) edge(m, columns, rest, result, rc, more);
    }
  }
}

// c[M, N] = or += a[M, K] @ b[K, N]. Rows of a are ra numbers apart, its columns ca, and so on. Reads up to 64
// bytes past the end of b.
NOINLINE void scores_matmul(int kind, int64_t window, int64_t M, int64_t N, int64_t K,
                            const real *a, int64_t ra, int64_t ca, const real *b, int64_t rb, int64_t cb,
                            real *c, int64_t rc, int add) {
  int64_t k = 0;
  do product(kind, window, M, N, K, k, least(K, k + PANEL), a, ra, ca, b, rb, cb, c, rc, add);
  while ((k += PANEL) < K);  // once even for K = 0, where c is 0
}
#define matmul(...) scores_matmul(FULL, 0, __VA_ARGS__)

// Rows added up by index: c[ids[n]] += g[n].
static void scatter(int64_t N, int64_t C, const real *g, int64_t rg, const int *ids, real *c) {
  for (int64_t n = 0; n < N; n++) {
    _Pragma("omp simd")
    for (int64_t i = 0; i < C; i++) c[ids[n] * C + i] += g[n * rg + i];
  }
}

// A batch, or a lane of it: `start` and `square` say where a document's tokens, and pairs of them, begin.
typedef struct {
  int64_t docs, N, SQ, all, all_pairs;  // N tokens and SQ pairs of them here; all in the whole batch
  const int64_t *start, *square;
  const int *ids, *targets, *place;
  const real *numbers, *weights, *masks, *score_masks;
} Batch;
typedef struct { real *carry, *keep, *sums, *mem, *results; } Memory;
#define EACH_DOCUMENT for (int64_t d = 0, n, nn, T; d < batch->docs && \
  (n = batch->start[d], nn = batch->square[d], T = batch->start[d + 1] - n, 1); d++)

// Scores added up by distance and head: c[t - s, h]. Strides of -1 are T.
NOINLINE void distances(const Batch *batch, int64_t H, int64_t size, int64_t window,
                        const real *g, int64_t rg, int64_t cg, real *c) {
  for (int64_t h = 0; h < H; h++) {
    real strip[BLOCK] = {0};
    EACH_DOCUMENT for (int64_t t = 0; t < T; t++) {
      const real *row = g + nn * H + h * T * T + t * (rg < 0 ? T : rg);
      real *to = strip + BLOCK - 1 - t;
      int64_t step = cg < 0 ? T : cg;
      _Pragma("omp simd")
      for (int64_t s = first_column(t, window); s <= t; s++) to[s] += row[s * step];
    }
    for (int64_t d = 0; d < size; d++) c[d * H + h] = d < BLOCK ? strip[BLOCK - 1 - d] : 0;
  }
}

// Functions without branches, so that loops over them become vectors. Polynomials: p, the odd powers of r,
// and q, the even ones, each in z = r * r; the processor works on both at once.
#define PICK(wide, narrow) (sizeof(real) == 8 ? (real)(wide) : (real)(narrow))
#define PAIR(odd, even) p = p * z + (real)(odd), q = q * z + (real)(even);
#define LN2 PICK(0x1.62e42fefa0000p-1, 0x1.62e4p-1)  // few digits, so that k * LN2 is exact
#define LN2_REST PICK(0x1.cf79abc9e3b3ap-40, 0x1.7f7d1cf79abcap-20)

typedef __typeof__(__builtin_choose_expr(sizeof(real) == 8, (uint64_t)0, (uint32_t)0)) bits;
enum { MANTISSA = sizeof(real) == 8 ? 52 : 23, BIAS = sizeof(real) == 8 ? 1023 : 127 };
INLINE real from_bits(bits i) { real x; memcpy(&x, &i, sizeof x); return x; }
INLINE bits to_bits(real x) { bits i; memcpy(&i, &x, sizeof i); return i; }

// e^x = (1 + p) * s * t; s and t are powers of two: as one they could be too large or small for a number.
typedef struct { real p, s, t; } Power;
INLINE Power power(real x) {
  const real shift = PICK(0x1.8p52, 0x1.8p23);  // numbers this large have no digits after the point
  x = x > PICK(710, 89) ? PICK(710, 89) : x;
  x = x < PICK(-746, -104) ? PICK(-746, -104) : x;
  real k = (x * (real)1.4426950408889634 + shift) - shift;
  real half = k * (real)0.5 + shift, rest = k - (half - shift) + shift;
  real r = x - k * LN2 - k * LN2_REST, z = r * r;  // Taylor's series of (e^r - 1 - r) / r^2
  real p = PICK(1 / 6227020800.0, 1 / 5040.0), q = PICK(1 / 479001600.0, 1 / 720.0);
  if (sizeof(real) == 8) {
    PAIR(1 / 39916800.0, 1 / 3628800.0) PAIR(1 / 362880.0, 1 / 40320.0) PAIR(1 / 5040.0, 1 / 720.0)
  }
  PAIR(1 / 120.0, 1 / 24.0) PAIR(1 / 6.0, 0.5)
  return (Power){(p * r + q) * z + r, from_bits((to_bits(half) + BIAS) << MANTISSA),
                 from_bits((to_bits(rest) + BIAS) << MANTISSA)};
}
INLINE real exp_(real x) { Power e = power(x); return (1 + e.p) * e.s * e.t; }
// e^x - 1, for x <= 0.
INLINE real expm1_(real x) { Power e = power(x); real u = e.s * e.t; return u * e.p + (u - 1); }

// log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2): the series of 2 atanh(f / (2 + f)).
INLINE real log1p_near(real f) {
  real s = f / (2 + f), r = s * s, z = r * r, p = PICK(2 / 21.0, 2 / 13.0), q = PICK(2 / 19.0, 2 / 11.0);
  if (sizeof(real) == 8) { PAIR(2 / 17.0, 2 / 15.0) PAIR(2 / 13.0, 2 / 11.0) }
  PAIR(2 / 9.0, 2 / 7.0) PAIR(2 / 5.0, 2 / 3.0)
  return f - s * (f - r * (p * r + q));
}
INLINE real log_(real x) {
  const real shift = PICK(0x1p52, 0x1p23);
  int tiny = x < PICK(0x1p-1022, 0x1p-126);
  bits one = to_bits(1), i = to_bits(tiny ? x * PICK(0x1p54, 0x1p25) : x);
  bits e = (i + (one - to_bits((real)0.70710678118654752))) >> MANTISSA;  // x = m * 2^(e - BIAS)
  real m = from_bits(i - (e << MANTISSA) + one);
  real k = from_bits(e | to_bits(shift)) - shift - BIAS - (tiny ? PICK(54, 25) : 0);
  real y = k * LN2 + (k * LN2_REST + log1p_near(m - 1));
  return x > 0 ? x < INFINITY ? y : x : x == 0 ? -INFINITY : NAN;
}

// 1 - e^-y, y = |x| P(|x|), where P makes the largest relative error of erf least (7e-17; float: 4e-9;
// found by Remez' algorithm). From the limit on, erf is 1.
INLINE real erf_(real x) {
  real limit = PICK(5.95, 4), r = fabs(x);
  r = r > limit ? limit : r;
  real z = r * r, p = 0, q = PICK(1.1801393214390732e-14, -9.25632113e-6);
  if (sizeof(real) == 4) {
    PAIR(0.000117642599, -0.00063284391) PAIR(0.0016670432, -0.000160413222) PAIR(-0.0191530546, 0.102777828)
    PAIR(0.636619382, 1.12837917)
  } else {
    PAIR(-4.7553466917658899e-13, 8.7218293900281071e-12) PAIR(-9.5489536665823229e-11, 6.811380878744493e-10)
    PAIR(-3.1532874382418738e-9, 7.7827991420918369e-9) PAIR(8.3712029475838269e-9, -1.7409555453057056e-7)
    PAIR(8.5372103861720117e-7, -2.4298081814231329e-6) PAIR(3.5646986844338696e-6, 2.7958507397625873e-6)
    PAIR(-2.9323527902754937e-5, 6.4290002544075762e-5) PAIR(2.5955212518689185e-5, -0.0005901468157218846)
    PAIR(0.0016962105307942283, -0.00020919523046960454) PAIR(-0.019128446963045419, 0.10277260330005896)
    PAIR(0.6366197723676116, 1.1283791670955126)
  }
  return copysign(-expm1_(-r * (p * r + q)), x);
}
INLINE real tanh_(real x) { real e = expm1_(-2 * fabs(x)); return copysign(e / (2 + e), x); }
INLINE real sigmoid_(real x) { real e = exp_(-fabs(x)); return (x < 0 ? e : 1) / (1 + e); }
INLINE real softplus_(real x) {
  real e = exp_(-fabs(x));
  int large = e > (real)0.41421356237309503;
  real y = (large ? (real)0.69314718055994531 : 0) + log1p_near(large ? (e - 1) / 2 : e);
  return (x < 0 ? 0 : x) + y;
}
