// Python's random numbers: the Mersenne Twister (Matsumoto & Nishimura, 1998).
typedef struct {
  uint32_t state[624];
  int used;        // of the 624 numbers
  double another;  // normal number, if it is not NAN
} Random;

static uint32_t random_bits(Random *rng) {
  uint32_t *x = rng->state;
  if (rng->used == 624) {
    for (int i = 0; i < 624; i++) {
      uint32_t y = (x[i] & 0x80000000) | (x[(i + 1) % 624] & 0x7fffffff);
      x[i] = x[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    rng->used = 0;
  }
  uint32_t y = x[rng->used++];
  y ^= y >> 11, y ^= (y << 7) & 0x9d2c5680, y ^= (y << 15) & 0xefc60000;
  return y ^ (y >> 18);
}

// random.random(): at least 0 and below 1.
static double uniform(Random *rng) {
  double a = random_bits(rng) >> 5, b = random_bits(rng) >> 6;
  return (a * 67108864 + b) / 9007199254740992;
}

// random.gauss(mean, std): two numbers at a time (Box & Muller, 1958).
static double gauss(Random *rng, double mean, double std) {
  double z = rng->another;
  rng->another = NAN;
  if (isnan(z)) {
    double angle = uniform(rng) * 6.283185307179586;
    double radius = sqrt(-2 * log(1 - uniform(rng)));
    z = cos(angle) * radius, rng->another = sin(angle) * radius;
  }
  return mean + z * std;
}

// random.seed(key): a number of any size, in words of 32 bits, the least first.
static void seed(Random *rng, const uint32_t *key, int words) {
  uint32_t *x = rng->state, i = 1;
  x[0] = 19650218;
  for (uint32_t k = 1; k < 624; k++) x[k] = 1812433253 * (x[k - 1] ^ (x[k - 1] >> 30)) + k;
  for (int k = 0; k < (words > 624 ? words : 624); k++) {
    x[i] = (x[i] ^ ((x[i - 1] ^ (x[i - 1] >> 30)) * 1664525)) + key[k % words] + (uint32_t)(k % words);
    if (++i == 624) x[0] = x[623], i = 1;
  }
  for (int k = 0; k < 623; k++) {
    x[i] = (x[i] ^ ((x[i - 1] ^ (x[i - 1] >> 30)) * 1566083941)) - i;
    if (++i == 624) x[0] = x[623], i = 1;
  }
  x[0] = 0x80000000;
  rng->used = 624, rng->another = NAN;
}

// The SHA-512 of a text of at most 111 bytes (FIPS 180-4, 2015), in eight words.
static void sha512(const char *text, uint64_t *hash) {
  static const uint64_t first[8] = {
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
  0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
  }, constants[80] = {
  0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
  0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
  0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
  0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
  0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
  0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
  0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
  0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
  0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
  0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
  0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
  0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
  0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
  0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
  0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
  0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
  };
  uint64_t w[80] = {0}, length = strlen(text);
  for (uint64_t i = 0; i <= length; i++)
    w[i / 8] |= (uint64_t)(i < length ? (unsigned char)text[i] : 0x80) << (56 - i % 8 * 8);
  w[15] = length * 8;
#define TURN(x, n) ((x) >> (n) | (x) << (64 - (n)))
  for (int i = 16; i < 80; i++)
    w[i] = w[i - 16] + (TURN(w[i - 15], 1) ^ TURN(w[i - 15], 8) ^ w[i - 15] >> 7)
         + w[i - 7] + (TURN(w[i - 2], 19) ^ TURN(w[i - 2], 61) ^ w[i - 2] >> 6);
  uint64_t v[8];  // a to h
  memcpy(v, first, sizeof v);
  for (int i = 0; i < 80; i++) {
    uint64_t chosen = (v[4] & v[5]) ^ (~v[4] & v[6]), majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    uint64_t one = v[7] + (TURN(v[4], 14) ^ TURN(v[4], 18) ^ TURN(v[4], 41)) + chosen + constants[i] + w[i];
    uint64_t two = (TURN(v[0], 28) ^ TURN(v[0], 34) ^ TURN(v[0], 39)) + majority;
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one, v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) hash[i] = first[i] + v[i];
}

// random.seed(text): the bytes of the text and of its SHA-512, as one large number.
static void seed_text(Random *rng, const char *text) {
  uint64_t hash[8];
  sha512(text, hash);
  uint32_t key[64] = {0};
  int length = (int)strlen(text), bytes = length + 64;
  for (int i = 0; i < bytes; i++) {  // from the last byte on
    int at = bytes - 1 - i;
    uint32_t byte = at < length ? (unsigned char)text[at] : hash[(at - length) / 8] >> (56 - (at - length) % 8 * 8) & 255;
    key[i / 4] |= byte << i % 4 * 8;
  }
  seed(rng, key, (bytes + 3) / 4);
}
