/** How servers with pages are started: by `sh -c`, with the interpreter as its first argument. */

export const STREAMLIT =
  "exec $0 -m streamlit run streamlit_app.py --server.port $PORT --server.address 127.0.0.1 " +
  "--server.headless true --browser.gatherUsageStats false";

/** The lock is Postern's. Its files are below the folder that is appended. */
export const JUPYTER =
  "exec $0 -m jupyterlab --no-browser --allow-root --ip 127.0.0.1 --port $PORT " +
  "--IdentityProvider.token= --ServerApp.root_dir=";
