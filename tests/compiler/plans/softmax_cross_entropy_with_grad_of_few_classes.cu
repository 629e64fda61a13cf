// Block loop 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_0(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n1,
    double* __restrict__ q25,
    const long long* __restrict__ x1,
    const float* __restrict__ x0,
    float* __restrict__ r0) {
    constexpr int GROUP = 4;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 1;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 32;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    double s25 = 0.0;
    const long long v6 = n1 - 1LL;
    const float v27 = (float)(n0);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        const long long v0 = x1[row];
        const long long v3 = (v0 > 0LL ? v0 : 0LL);
        const long long v8 = (v3 < v6 ? v3 : v6);
        const bool v9 = v0 == v8;
        const float v10 = (float)(v9);
        const float v12 = v9 ? v10 : not_a_number<float>();
        const float v29 = v12 / v27;
        float v13_kept[ITEMS][VECTOR];
        const float* const x0_row = x0 + row * n1;
        float v14 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v13_kept[item], x0_row + column0);
            }
        }
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v13 = v13_kept[item][v];
                    v14 = maximum(v14, v13);
                }
            }
        }
        v14 = group.combine(v14, Maximum());
        float v18 = 0.0f;
        float v17_kept[ITEMS][VECTOR];
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v16 = v13_kept[item][v] - v14;
                    const float v17 = expf(v16);
                    v17_kept[item][v] = v17;
                    v18 = v18 + v17;
                }
            }
        }
        v18 = group.combine(v18, Sum());
        const float v20 = logf(v18);
        const float v13_2 = x0[(row) * n1 + v8];
        const float v16_2 = v13_2 - v14;
        const float v22 = v20 - v16_2;
        const float v23 = v12 * v22;
        if (active && lane == 0) s25 = s25 + (double)(v23);
        const float v30 = v29 / v18;
        const int v8_column = as_column(v8);
        float* const r0_row = r0 + row * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                const int v8_place = v8_column - column0;
                float v36_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v31 = v17_kept[item][v] * v30;
                    const bool v33 = v == v8_place;
                    const float v35 = v33 ? v29 : 0.0f;
                    const float v36 = v31 - v35;
                    v36_out[v] = v36;
                }
                if (active) {
                    store<VECTOR>(r0_row + column0, v36_out);
                }
            }
        }
    }
    Group<128, 1> block;
    s25 = block.combine(s25, Sum());
    if (threadIdx.x == 0) {
        q25[blockIdx.x] = first ? s25 : q25[blockIdx.x] + s25;
    }
}

// The sums of stage 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n0,
    const long long pieces25,
    double* __restrict__ q25,
    float* __restrict__ o0,
    double* scalars) {
    Group<256, 1> group;
    double s25 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces25; piece += 256)
        s25 = s25 + q25[piece];
    s25 = group.combine(s25, Sum());
    if (threadIdx.x == 0) scalars[0] = (double)((float)(s25));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v25 = (float)(scalars[0]);
        const float v27 = (float)(n0);
        const float v28 = v25 / v27;
        *o0 = v28;
    }
}
