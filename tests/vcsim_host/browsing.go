package main

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// browse searches datastores in the simulator's place, which ends with all that it holds where a
// file goes while it looks at the folder.
func (h *host) browse(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "SearchDatastore_Task", "SearchDatastoreSubFolders_Task":
	default:
		return next
	}
	search := h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		// A browser is no entity: the task is of its first datastore.
		own := h.context()
		browser := own.Map.Get(method.This).(*simulator.HostDatastoreBrowser)
		first := own.Map.Get(browser.Datastore[0]).(*simulator.Datastore)
		h.update(task, []types.PropertyChange{
			{Name: "info.entity", Val: first.Self}, {Name: "info.entityName", Val: first.Name},
		})
		result, raised := h.found(own, browser, method)
		h.finish(task, result, raised)
		return nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, loggedIn := h.sessions()[seen.session]; loggedIn {
			search.ServeHTTP(w, r)
		} else {
			next.ServeHTTP(w, r) // which says so
		}
	})
}

func (h *host) found(
	own *simulator.Context, browser *simulator.HostDatastoreBrowser, method *simulator.Method,
) (any, types.BaseMethodFault) {
	var where string
	var spec *types.HostDatastoreBrowserSearchSpec
	recursive := false
	switch body := method.Body.(type) {
	case *types.SearchDatastore_Task:
		where, spec = body.DatastorePath, body.SearchSpec
	case *types.SearchDatastoreSubFolders_Task:
		where, spec, recursive = body.DatastorePath, body.SearchSpec, true
	}
	var folder object.DatastorePath
	if !folder.FromString(where) {
		return nil, &types.InvalidDatastorePath{DatastorePath: where}
	}
	datastore, ok := own.Map.FindByName(folder.Datastore, browser.Datastore).(*simulator.Datastore)
	if !ok {
		return nil, &types.InvalidDatastore{Name: folder.Datastore}
	}
	if spec == nil {
		spec = &types.HostDatastoreBrowserSearchSpec{}
	}
	search := &search{datastore: datastore, spec: spec, recursive: recursive}
	if err := search.look(where, filepath.Join(datastore.Summary.Url, folder.Path)); err != nil {
		return nil, &types.FileNotFound{FileFault: types.FileFault{File: where}}
	}
	h.addCapacities(search.results...)
	if recursive {
		return types.ArrayOfHostDatastoreBrowserSearchResults{
			HostDatastoreBrowserSearchResults: search.results,
		}, nil
	}
	return search.results[0], nil
}

type search struct {
	datastore *simulator.Datastore
	spec      *types.HostDatastoreBrowserSearchSpec
	recursive bool
	results   []types.HostDatastoreBrowserSearchResults
}

// look searches a folder, after those below it.
func (s *search) look(folder, directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	result := types.HostDatastoreBrowserSearchResults{Datastore: &s.datastore.Self, FolderPath: folder}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // it is gone by now
		}
		if file := s.described(info); file != nil {
			result.File = append(result.File, file)
		}
		if s.recursive && entry.IsDir() {
			_ = s.look(path.Join(folder, entry.Name()), filepath.Join(directory, entry.Name())) // gone
		}
	}
	s.results = append(s.results, result)
	return nil
}

// described is a file as its kind of FileInfo, or nil where it was not asked for.
func (s *search) described(file os.FileInfo) types.BaseFileInfo {
	if !s.isMatched(file.Name()) {
		return nil
	}
	info := types.FileInfo{Path: file.Name()}
	if details := s.spec.Details; details != nil {
		if details.FileSize {
			info.FileSize = file.Size()
		}
		if details.Modification {
			changed := file.ModTime()
			info.Modification = &changed
		}
	}
	if file.IsDir() {
		return s.asked(&types.FolderFileInfo{FileInfo: info}, &types.FolderFileQuery{})
	}
	switch path.Ext(file.Name()) {
	case ".iso":
		return s.asked(&types.IsoImageFileInfo{FileInfo: info}, &types.IsoImageFileQuery{})
	case ".vmdk":
		if strings.HasSuffix(file.Name(), "-flat.vmdk") && len(s.spec.Query) > 0 {
			return s.asked(&info, nil)
		}
		return s.asked(&types.VmDiskFileInfo{FileInfo: info}, &types.VmDiskFileQuery{})
	case ".vmx":
		return s.asked(&types.VmConfigFileInfo{FileInfo: info}, &types.VmConfigFileQuery{})
	case ".log":
		return s.asked(&types.VmLogFileInfo{FileInfo: info}, &types.VmLogFileQuery{})
	case ".nvram":
		return s.asked(&types.VmNvramFileInfo{FileInfo: info}, &types.VmNvramFileQuery{})
	}
	return s.asked(&info, nil)
}

func (s *search) isMatched(name string) bool {
	for _, pattern := range s.spec.MatchPattern {
		if matched, _ := path.Match(pattern, name); matched {
			return true
		}
	}
	return len(s.spec.MatchPattern) == 0
}

// asked is the file if its kind, or any, is asked for.
func (s *search) asked(file types.BaseFileInfo, kind types.BaseFileQuery) types.BaseFileInfo {
	for _, query := range s.spec.Query {
		if _, any := query.(*types.FileQuery); any || reflect.TypeOf(query) == reflect.TypeOf(kind) {
			return file
		}
	}
	if len(s.spec.Query) == 0 {
		return file
	}
	return nil
}
