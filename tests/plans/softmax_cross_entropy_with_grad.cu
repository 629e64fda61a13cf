// Phase 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(64) rows0_0(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n1,
    double* __restrict__ q21,
    const long long* __restrict__ x1,
    const float* __restrict__ x0,
    float* __restrict__ r0) {
    constexpr int GROUP = 64;
    constexpr int ITEMS = 4;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    const long long part = (long long)blockIdx.x;
    double s21 = 0.0;
    const float v23 = (float)(n0);
    for (long long i = part; i < rows; i += gridDim.x) {
        const long long row = row0 + i;
        const long long v0 = x1[row];
        const long long v4 = remainder_of(v0, n1);
        const bool v5 = v0 == v4;
        const float v6 = (float)(v5);
        const float v8 = v5 ? v6 : not_a_number<float>();
        const float v25 = v8 / v23;
        const float* const x0_row = x0 + row * n1;
        float v9_kept[ITEMS][VECTOR];
        float v10 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v9_kept[item], x0_row + column0);
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v9 = v9_kept[item][v];
                    v10 = maximum(v10, v9);
                }
            }
        }
        v10 = group.combine(v10, Maximum());
        float v13_kept[ITEMS][VECTOR];
        float v14 = 0.0f;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v12 = v9_kept[item][v] - v10;
                    const float v13 = expf(v12);
                    v13_kept[item][v] = v13;
                    v14 = v14 + v13_kept[item][v];
                }
            }
        }
        v14 = group.combine(v14, Sum());
        const float v16 = logf(v14);
        const float v9_2 = x0[(row) * n1 + v4];
        const float v12_2 = v9_2 - v10;
        const float v18 = v16 - v12_2;
        const float v19 = v8 * v18;
        if (lane == 0) s21 = s21 + (double)(v19);
        const float v26 = v25 / v14;
        float* const r0_row = r0 + row * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                float v32_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const int column = column0 + v;
                    const float v27 = v13_kept[item][v] * v26;
                    const long long v28 = (long long)(column);
                    const bool v29 = v28 == v4;
                    const float v31 = v29 ? v25 : 0.0f;
                    const float v32 = v27 - v31;
                    v32_out[v] = v32;
                }
                store<VECTOR>(r0_row + column0, v32_out);
            }
        }
    }
    __syncthreads();  // the shared memory is free again
    Group<64, 1> block;
    s21 = block.combine(s21, Sum());
    if (threadIdx.x == 0) {
        q21[blockIdx.x] = first ? s21 : q21[blockIdx.x] + s21;
    }
}

// The sums of section 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n0,
    const long long pieces21,
    double* __restrict__ q21,
    float* __restrict__ o0,
    double* numbers) {
    Group<256, 1> group;
    double s21 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces21; piece += 256)
        s21 = s21 + q21[piece];
    s21 = group.combine(s21, Sum());
    if (threadIdx.x == 0) numbers[0] = (double)((float)(s21));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v21 = (float)(numbers[0]);
        const float v23 = (float)(n0);
        const float v24 = v21 / v23;
        *o0 = v24;
    }
}
