export declare function ensurePythonEnv(requirements?: string): Promise<string>
