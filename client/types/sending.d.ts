/**
 * Sends one request with the credentials. No redirect is followed with a
 * header or a body that holds one: it could lead to another origin.
 *
 * @param {Options} options
 * @param {RequestInfo} input
 * @param {RequestInit} init
 * @param {Pair} [pair]
 * @param {boolean} [isOwn] whether it is one of the client's own, which may
 *   hold a token or a signature in its body
 */
export function send(options: Options, input: RequestInfo, init: RequestInit, pair?: Pair, isOwn?: boolean): Promise<Response>;
/**
 * Sends a request to a path of the API, without repeating anything.
 *
 * @param {Options} options
 * @param {string} path
 * @param {RequestInit} [init]
 * @param {Pair} [pair]
 */
export function sendOwn(options: Options, path: string, init?: RequestInit, pair?: Pair): Promise<Response>;
/**
 * As sendOwn, but waits and repeats if the server asks for it. For requests
 * that may be sent twice.
 *
 * @param {Options} options
 * @param {string} path
 * @param {RequestInit} [init]
 */
export function request(options: Options, path: string, init?: RequestInit): Promise<Response>;
export function absolute(url: string): URL;
export function json(method: string, body: unknown, headers?: Record<string, string>): RequestInit;
export function baseOf({ url }: Options): string;
export function plainFetch(options: Options, input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
import type { Options } from './types.js';
import type { Pair } from './types.js';
