/** @param {(path: string, init?: RequestInit) => Promise<Response>} send */
export function createResources(send: (path: string, init?: RequestInit) => Promise<Response>): {
    preferences: Preferences;
    state: SessionState;
    /** @type {Latchkey['sessions']} */
    sessions: Latchkey["sessions"];
    endSession(id: string): Promise<void>;
    /** @type {Latchkey['endOtherSessions']} */
    endOtherSessions: Latchkey["endOtherSessions"];
    /** @type {Latchkey['activity']} */
    activity: Latchkey["activity"];
};
import type { Preferences } from './types.js';
import type { SessionState } from './types.js';
import type { Latchkey } from './types.js';
