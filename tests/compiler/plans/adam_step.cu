// The scalars of the call.
extern "C" __global__ void __launch_bounds__(1) begin(double* scalars, const double a5, const double a6, const long long a2, const double a7, const double a8, const double a9, const double a10, const double a11, const double a12) {
    scalars[0] = a5;
    scalars[1] = a6;
    ((long long*)scalars)[2] = a2;
    scalars[3] = a7;
    scalars[4] = a8;
    scalars[5] = a9;
    scalars[6] = a10;
    scalars[7] = a11;
    scalars[8] = a12;
}

// Stage 0: all of n0.
extern "C" __global__ void __launch_bounds__(256) flat0(
    const long long n0,
    const long long parts0,
    float* x0,
    const float* __restrict__ x3,
    const float* __restrict__ x1,
    const float* __restrict__ x4,
    float* __restrict__ r1,
    float* __restrict__ r2,
    double* scalars) {
    long long block = blockIdx.x;
    if (block < parts0) {
        const long long part = block, parts = parts0;
        const long long rows = n0;
        constexpr long long row0 = 0;
        constexpr int VECTOR = 4;
        constexpr int GROUP = 256;
        const float v12 = (float)(scalars[3]);
        const float v15 = (float)(scalars[4]);
        const double v1 = scalars[0];
        const double v3 = scalars[1];
        const long long v4 = ((long long*)scalars)[2];
        const long long v6 = v4 + 1LL;
        const double v7 = (double)(v6);
        const double v8 = pow(v3, v7);
        const double v9 = 1.0 - v8;
        const double v10 = v1 / v9;
        const float v11 = (float)(v10);
        const float v20 = (float)(scalars[5]);
        const float v23 = (float)(scalars[6]);
        const double v28 = scalars[7];
        const double v29 = pow(v28, v7);
        const double v30 = 1.0 - v29;
        const double v31 = sqrt(v30);
        const float v32 = (float)(v31);
        const float v34 = (float)(scalars[8]);
        for (long long i0 = (part * GROUP + threadIdx.x) * VECTOR; i0 < rows;
             i0 += parts * GROUP * VECTOR) {
            float v13_here[VECTOR];
            load<VECTOR>(v13_here, (x3 + row0) + i0);
            float v16_here[VECTOR];
            load<VECTOR>(v16_here, (x1 + row0) + i0);
            float v21_here[VECTOR];
            load<VECTOR>(v21_here, (x4 + row0) + i0);
            float v0_here[VECTOR];
            load<VECTOR>(v0_here, (x0 + row0) + i0);
            float v18_out[VECTOR];
            float v26_out[VECTOR];
            float v37_out[VECTOR];
#pragma unroll
            for (int v = 0; v < VECTOR; ++v) {
                const float v13 = v13_here[v];
                const float v14 = v12 * v13;
                const float v16 = v16_here[v];
                const float v17 = v15 * v16;
                const float v18 = v14 + v17;
                const float v19 = v11 * v18;
                const float v21 = v21_here[v];
                const float v22 = v20 * v21;
                const float v24 = v16 * v16;
                const float v25 = v23 * v24;
                const float v26 = v22 + v25;
                const float v27 = sqrtf(v26);
                const float v33 = v27 / v32;
                const float v35 = v33 + v34;
                const float v36 = v19 / v35;
                const float v0 = v0_here[v];
                const float v37 = v0 - v36;
                v18_out[v] = v18;
                v26_out[v] = v26;
                v37_out[v] = v37;
            }
            store<VECTOR>((r1 + row0) + i0, v18_out);
            store<VECTOR>((r2 + row0) + i0, v26_out);
            store<VECTOR>((x0 + row0) + i0, v37_out);
        }
        return;
    }
}

// Results that are single numbers.
extern "C" __global__ void __launch_bounds__(1) outputs(
    long long* __restrict__ o0,
    double* scalars) {
    const long long v4 = ((long long*)scalars)[2];
    const long long v6 = v4 + 1LL;
    *o0 = v6;
}
