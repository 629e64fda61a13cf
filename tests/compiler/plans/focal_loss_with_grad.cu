// The scalars of the call.
extern "C" __global__ void __launch_bounds__(1) begin(double* scalars, const double a2) {
    scalars[0] = a2;
}

// Block loop 0: the rows of n0, each of n1 columns.
extern "C" __global__ void __launch_bounds__(128) rows0_0(
    const long long row0,
    const long long rows,
    const long long first,
    const long long n0,
    const long long n1,
    double* __restrict__ q19,
    const float* __restrict__ x0,
    const long long* __restrict__ x1,
    float* __restrict__ r0,
    double* scalars) {
    constexpr int GROUP = 16;
    constexpr int ITEMS = 1;
    constexpr int VECTOR = 4;
    constexpr int CLUSTER = 1;
    constexpr int ROWS = 8;
    constexpr int LANES = GROUP * CLUSTER;  // threads that share a row
    [[maybe_unused]] Group<GROUP, CLUSTER> group;
    const int lane = threadIdx.x % GROUP;
    double s19 = 0.0;
    const double v13 = scalars[0];
    const float v14 = (float)(v13);
    const double v24 = v13 - 1.0;
    const float v25 = (float)(v24);
    const float v37 = (float)(n0);
    for (long long i0 = (long long)blockIdx.x * ROWS; i0 < rows;
         i0 += (long long)gridDim.x * ROWS) {
        // A group without a row of its own repeats the last one and stores nothing.
        const bool active = i0 + threadIdx.x / GROUP < rows;
        const long long i = active ? i0 + threadIdx.x / GROUP : rows - 1;
        const long long row = row0 + i;
        float v1_kept[ITEMS][VECTOR];
        const float* const x0_row = x0 + row * n1;
        float v2 = -infinity<float>();
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                load<VECTOR>(v1_kept[item], x0_row + column0);
            }
        }
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v1 = v1_kept[item][v];
                    v2 = maximum(v2, v1);
                }
            }
        }
        v2 = group.combine(v2, Maximum());
        float v6 = 0.0f;
        float v5_kept[ITEMS][VECTOR];
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const float v4 = v1_kept[item][v] - v2;
                    const float v5 = expf(v4);
                    v5_kept[item][v] = v5;
                    v6 = v6 + v5;
                }
            }
        }
        v6 = group.combine(v6, Sum());
        const long long v9 = x1[row];
        long long v9_2_inside = (long long)(v9);
        v9_2_inside = v9_2_inside < 0 ? v9_2_inside + n1 : v9_2_inside;
        const bool v9_2_inside_is = v9_2_inside >= 0 && v9_2_inside < n1;
        if (!v9_2_inside_is) ((long long*)scalars)[3] = 1;
        v9_2_inside = v9_2_inside < 0 ? 0 : v9_2_inside >= n1 ? n1 - 1 : v9_2_inside;
        const float v1_2 = x0[(row) * n1 + v9_2_inside];
        const float v4_2 = v1_2 - v2;
        const float v5_2 = expf(v4_2);
        const float v8 = v5_2 / v6;
        const float v11 = (v9_2_inside_is ? v8 : not_a_number<float>());
        const float v12 = 1.0f - v11;
        const float v15 = powf(v12, v14);
        const float v16 = -v15;
        const float v17 = logf(v11);
        const float v18 = v16 * v17;
        if (active && lane == 0) s19 = s19 + (double)(v18);
        const float v26 = powf(v12, v25);
        const float v27 = v14 * v26;
        const float v28 = v27 * v11;
        const float v29 = v28 * v17;
        const float v30 = v29 - v15;
        const int v9_column = as_column(v9);
        float* const r0_row = r0 + row * n1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            const int column0 = (item * LANES + lane) * VECTOR;
            if (column0 < n1) {
                const int v9_place = v9_column - column0;
                float v38_out[VECTOR];
#pragma unroll
                for (int v = 0; v < VECTOR; ++v) {
                    const bool v32 = v == v9_place;
                    const float v33 = (float)(v32);
                    const float v8_2 = v5_kept[item][v] / v6;
                    const float v34 = v33 - v8_2;
                    const float v35 = v30 * v34;
                    const float v38 = v35 / v37;
                    v38_out[v] = v38;
                }
                if (active) {
                    store<VECTOR>(r0_row + column0, v38_out);
                }
            }
        }
    }
    Group<128, 1> block;
    s19 = block.combine(s19, Sum());
    if (threadIdx.x == 0) {
        q19[blockIdx.x] = first ? s19 : q19[blockIdx.x] + s19;
    }
}

// The sums of stage 0.
extern "C" __global__ void __launch_bounds__(256) finish0(
    const long long n0,
    const long long pieces19,
    double* __restrict__ q19,
    float* __restrict__ o0,
    double* scalars) {
    Group<256, 1> group;
    double s19 = 0.0;
    for (long long piece = threadIdx.x; piece < pieces19; piece += 256)
        s19 = s19 + q19[piece];
    s19 = group.combine(s19, Sum());
    if (threadIdx.x == 0) scalars[1] = (double)((float)(s19));
    if (threadIdx.x == 0) {  // who has put the numbers where they are read
        const float v19 = (float)(scalars[1]);
        const float v21 = (float)(n0);
        const float v22 = v19 / v21;
        *o0 = v22;
    }
}
