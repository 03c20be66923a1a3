/** Plain JavaScript, exported by name, which knows no lifespan. */
export async function app(scope, receive, send) {
  if (scope.type !== "http") throw new Error("no lifespan here");
  await send({ type: "http.response.start", status: 200 });
  await send({ type: "http.response.body", body: "named" });
}
